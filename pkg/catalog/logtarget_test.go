package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// blind is a registry whose HEAD finds no manifest, and which may leave
// revisions out of its tag list.
type blind struct{ head, list atomic.Bool }

func (b *blind) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case b.head.Load() && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/"):
			w.WriteHeader(http.StatusNotFound)
		case b.list.Load() && strings.HasSuffix(r.URL.Path, "/team/catalog/tags/list"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"name":"team/catalog","tags":[]}`))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// What HEAD does not find is not absent: neither what was just written, nor the
// image, nor a head that was known.
func TestHeadIsNotTakenAtItsWord(t *testing.T) {
	b := &blind{}
	w := newWorld(t, true, b.wrap)
	image := w.push("os/autosd", "1", "1")
	b.head.Store(true)
	options := catalog.Options{StateDir: t.TempDir()}
	if result := w.publish(w.open(options), image, catalog.PublishOptions{}); result.Attachment.Outcome != catalog.Attached {
		t.Errorf("attachment %+v", result.Attachment)
	}
	v, err := w.open(options).Verify(t.Context(), "autosd")
	if err != nil {
		t.Errorf("verify: %v, %+v", err, v.Checks)
	}
	b.list.Store(true)
	page, err := w.open(options).List(t.Context(), catalog.ListOptions{})
	if err != nil || page.Total != 1 {
		t.Errorf("a head that is not listed: %d entries, %v; want it", page.Total, err)
	}
	other := w.push("os/other", "1", "1")
	w.publish(w.open(options), other, catalog.PublishOptions{NoAttach: true})
}

// What GET does not find either is absent, and said to be.
func TestAbsenceIsConfirmed(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	c := w.open(catalog.Options{Fresh: time.Hour})
	w.publish(c, image, catalog.PublishOptions{NoAttach: true})
	repository, err := w.client.Open(parse(t, image))
	if err != nil {
		t.Fatal(err)
	}
	if err := repository.Delete(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	var failed error
	requests := w.counter.during(func() { _, failed = c.Verify(t.Context(), "autosd") })
	heads, gets := 0, 0
	for _, request := range requests {
		switch request {
		case "HEAD /v2/os/autosd/manifests/1":
			heads++
		case "GET /v2/os/autosd/manifests/1":
			gets++
		}
	}
	if !errors.Is(failed, entry.ErrNotFound) || heads != 1 || gets != 2 {
		t.Errorf("%v after %d HEAD and %d GET, want not found after 1 and 2 (one to check its content)", failed, heads, gets)
	}
}
