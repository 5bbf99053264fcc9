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
	"github.com/oci-catalog/caib/pkg/trust"
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
	v, err := w.open(options).Verify(t.Context(), "autosd", catalog.VerifyOptions{})
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

// What GET does not find either is absent, and said to be: a tag was moved then, and
// an image is not there.
func TestAbsenceIsConfirmed(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	c := w.open(catalog.Options{Fresh: time.Hour})
	item := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{NoAttach: true}).Item
	repository, err := w.client.Open(parse(t, image))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		gone      string
		options   catalog.VerifyOptions
		err       error
		digest    catalog.Outcome
		reference catalog.Outcome
	}{
		{"1", catalog.VerifyOptions{}, nil, catalog.OK, catalog.Moved},
		{"1", catalog.VerifyOptions{StrictReference: true}, entry.ErrConflict, catalog.OK, catalog.Moved},
		{item.Digest.String(), catalog.VerifyOptions{}, entry.ErrNotFound, catalog.Failed, catalog.Moved},
	} {
		if err := repository.Delete(t.Context(), tt.gone); err != nil && !errors.Is(err, entry.ErrNotFound) {
			t.Fatal(err)
		}
		var v catalog.Verification
		var failed error
		requests := w.counter.during(func() { v, failed = c.Verify(t.Context(), "autosd", tt.options) })
		asked := map[string]int{}
		for _, request := range requests {
			asked[request]++
		}
		results := map[trust.Subject]catalog.Outcome{}
		for _, check := range v.Checks {
			results[check.What] = check.Result
		}
		if !errors.Is(failed, tt.err) || results[catalog.CheckDigest] != tt.digest || results[catalog.CheckReference] != tt.reference {
			t.Errorf("without %s, with %+v: %v and %v; want %v, digest %s, reference %s", tt.gone, tt.options, failed, results, tt.err, tt.digest, tt.reference)
		}
		const path = " /v2/os/autosd/manifests/"
		if asked["HEAD"+path+"1"] != 1 || asked["GET"+path+"1"] != 1 || tt.digest == catalog.Failed && (asked["HEAD"+path+tt.gone] != 1 || asked["GET"+path+tt.gone] != 2) {
			t.Errorf("without %s: requests %v, want one HEAD and GET of the tag, and of a digest that is gone one GET more, for its content", tt.gone, asked)
		}
	}
}
