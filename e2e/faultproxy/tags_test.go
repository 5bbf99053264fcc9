package faultproxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// list returns the tags of one answer and the path of the next page.
func (b *bench) list(path string) (tags []string, next string) {
	b.t.Helper()
	r := b.want(http.StatusOK, b.get(path))
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		b.t.Fatal(err)
	}
	if link, ok := strings.CutSuffix(r.header.Get("Link"), `>; rel="next"`); ok {
		next = strings.TrimPrefix(link, "<")
	}
	return list.Tags, next
}

func TestPagesOfTags(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a", "b", "c", "d", "e")
	b.proxy.Set(Faults{PageSize: 2})
	var pages [][]string
	for next := "/v2/r/tags/list"; next != "" && len(pages) < 10; {
		var tags []string
		tags, next = b.list(next)
		pages = append(pages, tags)
	}
	if diff := cmp.Diff([][]string{{"a", "b"}, {"c", "d"}, {"e"}}, pages); diff != "" {
		t.Errorf("pages of tags (-want +got):\n%s", diff)
	}
}

func TestRefusedTagLists(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a", "c")
	b.want(http.StatusOK, b.get("/v2/r/tags/list?n=101"))
	b.want(http.StatusOK, b.get("/v2/r/tags/list?last=b"))
	b.proxy.Set(Faults{MaxN: 100, UnknownLast404: true})
	b.want(http.StatusRequestEntityTooLarge, b.get("/v2/r/tags/list?n=101"))
	b.want(http.StatusOK, b.get("/v2/r/tags/list?n=100"))
	b.want(http.StatusNotFound, b.get("/v2/r/tags/list?last=b"))
	b.want(http.StatusOK, b.get("/v2/r/tags/list?last=a"))
}

func TestHiddenTags(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a", "b", "c", "d")
	b.proxy.Set(Faults{HideTags: func(tag string) bool { return tag > "b" }})
	tags, next := b.list("/v2/r/tags/list")
	if diff := cmp.Diff([]string{"a", "b"}, tags); diff != "" || next != "" {
		t.Errorf("next %q\n%s", next, diff)
	}
	b.want(http.StatusOK, b.get("/v2/r/manifests/d"))
	b.proxy.Set(Faults{})
	if tags, _ := b.list("/v2/r/tags/list"); len(tags) != 4 {
		t.Errorf("tags %v, want 4", tags)
	}
}

func TestReadsLagWrites(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	b := newBench(t, Faults{ReadLag: 3 * time.Second, Now: now})
	sum := digest(b.tagged("a"))
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		b.want(http.StatusNotFound, b.do(method, "/v2/r/manifests/a", "", ""))
		b.want(http.StatusOK, b.do(method, "/v2/r/manifests/"+sum, "", ""))
	}
	if tags, _ := b.list("/v2/r/tags/list"); len(tags) != 0 {
		t.Errorf("tags %v before the lag has passed", tags)
	}
	passed.Store(int64(3 * time.Second))
	b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
	if tags, _ := b.list("/v2/r/tags/list"); len(tags) != 1 {
		t.Errorf("tags %v after the lag has passed", tags)
	}
}
