package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testwait"
)

func TestZeroFaultsPassEverything(t *testing.T) {
	b := newBench(t, Faults{})
	manifest := b.tagged("a")
	sum := digest(manifest)
	r := b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
	if r.body != manifest || r.header.Get("Docker-Content-Digest") != sum {
		t.Errorf("got %s with %v, want the manifest and its digest", r.body, r.header)
	}
	direct := b.want(http.StatusOK, b.at(b.upstream, http.MethodHead, "/v2/r/manifests/a", "", ""))
	head := b.want(http.StatusOK, b.do(http.MethodHead, "/v2/r/manifests/a", "", ""))
	if diff := cmp.Diff(direct.header.Get("Content-Length"), head.header.Get("Content-Length")); diff != "" {
		t.Errorf("Content-Length of a HEAD (-registry +proxy):\n%s", diff)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a")
	b.proxy.Requests()
	b.get("/v2/r/manifests/a")
	b.do(http.MethodHead, "/v2/r/manifests/b", "", "")
	b.get("/v2/r/tags/list")
	want := []string{"GET /v2/r/manifests/a 200", "HEAD /v2/r/manifests/b 404", "GET /v2/r/tags/list 200"}
	if diff := cmp.Diff(want, b.proxy.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if again := b.proxy.Requests(); len(again) != 0 {
		t.Errorf("requests %v are there twice", again)
	}
}

// rule puts one rule in force for reads of manifests.
func (b *bench) rule(times int, do Action) {
	b.proxy.Set(Faults{Rules: []*Rule{{Match: On(http.MethodGet, "/manifests/"), Times: times, Do: do}}})
}

func TestStatusInstead(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a")
	date := time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
	for _, do := range []Action{
		{Status: 401}, {Status: 403}, {Status: 429, RetryAfter: "1"}, {Status: 429, RetryAfter: date},
		{Status: 500}, {Status: 502}, {Status: 503},
	} {
		b.rule(2, do)
		for range 2 {
			r := b.want(do.Status, b.get("/v2/r/manifests/a"))
			if got := r.header.Get("Retry-After"); got != do.RetryAfter {
				t.Errorf("Retry-After: %q, want %q", got, do.RetryAfter)
			}
			b.want(http.StatusOK, b.get("/v2/r/tags/list"))
		}
		b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
	}
}

func TestARuleWithoutTimesActsForEver(t *testing.T) {
	b := newBench(t, Faults{Rules: []*Rule{{Do: Action{Status: 503}}}})
	for range 5 {
		b.want(http.StatusServiceUnavailable, b.get("/v2/"))
	}
}

func TestHTMLWithStatus200(t *testing.T) {
	b := newBench(t, Faults{})
	b.rule(1, Action{HTML: true})
	r := b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.HasPrefix(r.body, "<!DOCTYPE") {
		t.Errorf("%v %s", r.header, r.body)
	}
}

func TestSpoiltBodies(t *testing.T) {
	b := newBench(t, Faults{})
	manifest := b.tagged("a")

	b.rule(1, Action{Cut: true})
	if r := b.get("/v2/r/manifests/a"); !errors.Is(r.err, io.ErrUnexpectedEOF) || r.body != manifest[:len(manifest)/2] {
		t.Errorf("cut: %v %s", r.err, r.body)
	}
	b.rule(1, Action{CutClean: true})
	if r := b.want(http.StatusOK, b.get("/v2/r/manifests/a")); r.body != manifest[:len(manifest)/2] {
		t.Errorf("cut clean: %s", r.body)
	}
	b.rule(1, Action{Alter: true})
	r := b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
	differ := 0
	for i := range min(len(r.body), len(manifest)) {
		if r.body[i] != manifest[i] {
			differ++
		}
	}
	if len(r.body) != len(manifest) || differ != 1 || r.header.Get("Docker-Content-Digest") != digest(manifest) {
		t.Errorf("altered in %d bytes: %v %s", differ, r.header, r.body)
	}
	if r := b.want(http.StatusOK, b.get("/v2/r/manifests/a")); r.body != manifest {
		t.Errorf("afterwards: %s", r.body)
	}
}

// What an action does to answers, it does to those of ranges too.
func TestSpoiltRanges(t *testing.T) {
	b := newBench(t, Faults{})
	path := "/v2/r/blobs/" + b.upload("the content")
	b.proxy.Set(Faults{Rules: []*Rule{
		{Times: 1, Do: Action{CutAt: func(size int) int { return size - 1 }}},
		{Times: 1, Do: Action{Change: bytes.ToUpper, Header: map[string]string{"Content-Range": "bytes 1-2/3"}}},
		{Times: 1, Do: Action{NoRange: true, Header: map[string]string{"Transfer-Encoding": "chunked"}}},
		{Times: 1, Do: Action{Handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }}},
		{Match: On(http.MethodPut, ""), Do: Action{Reset: true}},
	}})
	type seen struct {
		status               int
		body, length, extent string
		cut                  bool
	}
	for _, want := range []seen{
		{http.StatusPartialContent, "conten", "7", "bytes 4-10/11", true},
		{http.StatusPartialContent, "CONTENT", "7", "bytes 1-2/3", false},
		{http.StatusOK, "the content", "", "", false},
		{http.StatusTeapot, "", "0", "", false},
	} {
		if b.proxy.Acted() {
			t.Error("every rule has acted, and one did not")
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.proxy.Host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", "bytes=4-10")
		response, err := b.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		got := seen{response.StatusCode, string(body), response.Header.Get("Content-Length"), response.Header.Get("Content-Range"), err != nil}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	b.proxy.Set(Faults{Rules: []*Rule{{Do: Action{NoRange: true}}}})
	if b.get(path); !b.proxy.Acted() {
		t.Error("the only rule has acted, and is said to have not")
	}
}

func TestReset(t *testing.T) {
	b := newBench(t, Faults{})
	b.rule(1, Action{Reset: true})
	if r := b.get("/v2/r/manifests/a"); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("got %+v, want a connection reset", r)
	}
}

func TestSlowAnswers(t *testing.T) {
	b := newBench(t, Faults{})
	manifest := b.tagged("a")
	const pause = 20 * time.Millisecond
	for name, tt := range map[string]struct {
		do    Action
		least time.Duration
	}{
		"delay":   {Action{Delay: pause}, pause},
		"trickle": {Action{Trickle: pause}, 5 * pause},
	} {
		b.rule(1, tt.do)
		start := time.Now()
		r := b.want(http.StatusOK, b.get("/v2/r/manifests/a"))
		if took := time.Since(start); took < tt.least || r.body != manifest {
			t.Errorf("%s: after %s: %s", name, took, r.body)
		}
	}
}

func TestRedirectedBlobs(t *testing.T) {
	b := newBench(t, Faults{})
	sum := b.upload("content")
	storage := New(t, b.upstream, Faults{})
	b.proxy.Set(Faults{Rules: []*Rule{{Match: On(http.MethodGet, "/blobs/"), Do: Action{RedirectTo: storage.Host}}}})
	r := b.want(http.StatusTemporaryRedirect, b.get("/v2/r/blobs/"+sum))
	path, ok := strings.CutPrefix(r.header.Get("Location"), "http://"+storage.Host)
	if !ok {
		t.Fatalf("it leads to %s", r.header.Get("Location"))
	}
	if r := b.want(http.StatusOK, b.at(storage.Host, http.MethodGet, path, "", "")); r.body != "content" {
		t.Errorf("it leads to %s", r.body)
	}
}

// Faults change while requests are under way.
func TestSetIsSafe(t *testing.T) {
	b := newBench(t, Faults{})
	b.tagged("a")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				b.get("/v2/r/manifests/a")
			}
		})
	}
	for i := range 100 {
		b.rule(i%3, Action{Status: 503})
	}
	testwait.Return(t, "all answers", group.Wait)
	if asked := b.proxy.Requests(); len(asked) < 100 {
		t.Errorf("%d requests were counted, want at least 100", len(asked))
	}
}
