package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

func TestMove(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	image := w.push("os/autosd", "1", "1")
	w.publish(c, image, catalog.PublishOptions{Name: "old"})
	w.publish(c, w.push("os/other", "1", "2"), catalog.PublishOptions{})
	_, err := c.Publish(t.Context(), image, catalog.PublishOptions{Name: "new"})
	if !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), `"old"`) {
		t.Errorf("without moving: %v", err)
	}
	requests := w.counter.during(func() {
		planned := w.publish(c, image, catalog.PublishOptions{Name: "new", Move: true, DryRun: true})
		if diff := cmp.Diff([]string{"old"}, planned.MovedFrom); diff != "" {
			t.Errorf("a dry run:\n%s", diff)
		}
	})
	if wrote := writes(requests); len(wrote) > 0 {
		t.Errorf("a dry run wrote %v", wrote)
	}
	moved := w.publish(c, image, catalog.PublishOptions{Name: "new", Move: true})
	if diff := cmp.Diff([]string{"old"}, moved.MovedFrom); diff != "" || moved.Outcome != catalog.Published {
		t.Errorf("%s\n%s", moved.Outcome, diff)
	}
	if diff := cmp.Diff([]string{"new", "other"}, names(t, c)); diff != "" {
		t.Error(diff)
	}
	// One removal and one publication.
	events, err := c.History(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, string(e.Operation)+" "+e.Name+" "+e.Reason)
	}
	if diff := cmp.Diff([]string{"publish old ", "publish other ", "publish new ", "remove old moved to new"}, got); diff != "" {
		t.Error(diff)
	}
	again := w.publish(c, image, catalog.PublishOptions{Name: "new", Move: true})
	if again.Outcome != catalog.Unchanged || again.MovedFrom != nil {
		t.Errorf("again: %+v", again)
	}
}

// What ends between the publication and the removal leaves the image under
// both names, and moving it again ends the rest.
func TestMoveIsResumed(t *testing.T) {
	var refuse atomic.Bool
	w := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if refuse.Load() && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/old.") {
				http.Error(rw, "no", http.StatusForbidden)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	c := w.open(catalog.Options{})
	image := w.push("os/autosd", "1", "1")
	w.publish(c, image, catalog.PublishOptions{Name: "old"})
	options := catalog.PublishOptions{Name: "new", Move: true}
	refuse.Store(true)
	if _, err := c.Publish(t.Context(), image, options); !errors.Is(err, entry.ErrUnauthorized) || !strings.Contains(err.Error(), "new is published, but old is not ended") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{"new", "old"}, names(t, c)); diff != "" {
		t.Error(diff)
	}
	refuse.Store(false)
	if result := w.publish(c, image, options); result.Outcome != catalog.Unchanged || len(result.MovedFrom) != 1 {
		t.Errorf("%+v", result)
	}
	if diff := cmp.Diff([]string{"new"}, names(t, c)); diff != "" {
		t.Error(diff)
	}
}

// A version that was published stays readable when another takes its place.
func TestVersionsStayReadable(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	for _, version := range []string{"1.3.0", "1.4.0", "1.5.0"} {
		w.publish(c, w.push("os/autosd", version, version), catalog.PublishOptions{Version: version})
	}
	page, err := c.List(t.Context(), catalog.ListOptions{})
	if err != nil || page.Total != 1 || page.Items[0].Version != "1.5.0" {
		t.Errorf("%+v, %v", page, err)
	}
	item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{Version: "1.4.0"})
	if err != nil || item.RegistryURL != w.host+"/os/autosd:1.4.0" {
		t.Errorf("%+v, %v", item, err)
	}
}
