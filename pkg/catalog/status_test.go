package catalog_test

import (
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// statusOf is what a server would record of an entry.
func statusOf(item entry.Item, phase entry.Phase) *entry.Status {
	return &entry.Status{Name: item.Name, Revision: item.Revision, Phase: phase, Reason: health.ReasonManifestUnknown,
		LastVerified: item.PublishedAt, Since: item.PublishedAt, Accesses: 7}
}

// A recorded status shows without a server, at one manifest and one blob; a
// reader that knows it asks for neither.
func TestStatusShowsWithoutAServer(t *testing.T) {
	w := newWorld(t, true, nil)
	writer := w.open(catalog.Options{CacheDir: t.TempDir()})
	item := w.publish(writer, w.push("os/image", "1", "1"), catalog.PublishOptions{}).Item
	w.open(catalog.Options{}).List(t.Context(), catalog.ListOptions{}) // warms the cache up
	for range 6 {
		err := writer.ForServer().SaveStatuses(t.Context(), func(map[string]*entry.Status) []*entry.Status {
			return []*entry.Status{statusOf(item, entry.PhaseFailed)}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{3, 1} { // the tag list, and what is new
		c := w.open(catalog.Options{})
		var page catalog.Page
		requests := w.counter.during(func() {
			var err error
			if page, err = c.List(t.Context(), catalog.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		if got := page.Items[0]; got.Phase != entry.PhaseFailed || got.StatusReason != health.ReasonManifestUnknown || got.AccessCount != 7 {
			t.Errorf("the item is %+v", got)
		}
		if len(requests) != want {
			t.Errorf("%d requests, want %d: %v", len(requests), want, requests)
		}
	}
	repository, err := w.newClient().Open(parse(t, w.host+"/team/catalog"))
	if err != nil {
		t.Fatal(err)
	}
	tags, err := repository.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, tag := range tags {
		if strings.HasPrefix(tag, "_status.") {
			count++
		}
	}
	if count != 3 {
		t.Errorf("%d status artifacts are left of 6, want 3: %v", count, tags)
	}
}

// A status is of one revision; another one of the name starts anew.
func TestStatusIsOfOneRevision(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{Fresh: -1})
	item := w.publish(c, w.push("os/image", "1", "1"), catalog.PublishOptions{Name: "image"}).Item
	if err := c.ForServer().SaveStatuses(t.Context(), func(map[string]*entry.Status) []*entry.Status {
		return []*entry.Status{statusOf(item, entry.PhaseFailed)}
	}); err != nil {
		t.Fatal(err)
	}
	w.publish(c, w.push("os/image", "2", "2"), catalog.PublishOptions{Name: "image"})
	got, err := c.Get(t.Context(), "image", catalog.GetOptions{})
	if err != nil || got.Phase != entry.PhaseAvailable || got.AccessCount != 7 {
		t.Errorf("phase %s, %d accesses, error %v", got.Phase, got.AccessCount, err)
	}
}

// A status artifact that cannot be believed costs a warning, and no answer.
func TestForgedStatusIsAWarning(t *testing.T) {
	w := newWorld(t, true, nil)
	var warned []error
	c := w.open(catalog.Options{Warn: func(w catalog.Warning) { warned = append(warned, w.Err) }})
	w.publish(c, w.push("os/image", "1", "1"), catalog.PublishOptions{})
	w.push("team/catalog", "_status.0mm5d2l0r.s0123456789abcdef", "x")
	page, err := c.List(t.Context(), catalog.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Phase != entry.PhaseAvailable {
		t.Errorf("page %+v, error %v", page, err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0].Error(), "_status.") {
		t.Errorf("warnings %v, want one about the status", warned)
	}
}

// What the cache holds is recalled without a request; what it does not is not
// found.
func TestRecallAsksNothing(t *testing.T) {
	w := newWorld(t, true, nil)
	if _, err := w.open(catalog.Options{}).ForServer().ReadCached(t.Context()); !isKind(err, entry.ErrNotFound) {
		t.Errorf("an empty cache recalls: %v", err)
	}
	c := w.open(catalog.Options{})
	item := w.publish(c, w.push("os/image", "1", "1"), catalog.PublishOptions{}).Item
	if err := c.ForServer().SaveStatuses(t.Context(), func(map[string]*entry.Status) []*entry.Status {
		return []*entry.Status{statusOf(item, entry.PhaseUnavailable)}
	}); err != nil {
		t.Fatal(err)
	}
	again := w.open(catalog.Options{})
	var look serving.View
	requests := w.counter.during(func() {
		var err error
		if look, err = again.ForServer().ReadCached(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if len(requests) != 0 || len(look.Live()) != 1 || look.Statuses()["image"].Phase != entry.PhaseUnavailable {
		t.Errorf("requests %v, live %v, statuses %v", requests, look.Live(), look.Statuses())
	}
}
