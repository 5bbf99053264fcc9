package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// The budgets of the design, counted at the transport. Tag pages are one here.

func TestBudgetOfPublishing(t *testing.T) {
	for _, tt := range []struct {
		name      string
		referrers bool
		most      int
	}{
		{"with the Referrers API", true, 18},
		{"without", false, 22},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.referrers, nil)
			w.publish(w.open(catalog.Options{}), w.push("os/first", "1", "1"), catalog.PublishOptions{})
			image := w.push("os/second", "1", "1")
			c := w.open(catalog.Options{})
			var result catalog.PublishResult
			requests := w.counter.during(func() { result = w.publish(c, image, catalog.PublishOptions{}) })
			if result.Attachment.Outcome != catalog.Attached {
				t.Errorf("attachment %+v", result.Attachment)
			}
			if len(requests) > tt.most {
				t.Errorf("%d requests, want at most %d:\n%s", len(requests), tt.most, strings.Join(requests, "\n"))
			}
		})
	}
}

// Publishing the same again costs two requests more than comparing: whether the
// attachment and the tag that keeps the image are there. That the attachment is listed is known from inspecting the image.
func TestBudgetOfPublishingTheSame(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		w := newWorld(t, referrers, nil)
		image := w.push("os/image", "1", "1")
		w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
		for _, tt := range []struct {
			cache string
			most  int
		}{
			{w.cacheDir, 8},
			{t.TempDir(), 9},
		} {
			c := w.open(catalog.Options{CacheDir: tt.cache})
			var result catalog.PublishResult
			requests := w.counter.during(func() { result = w.publish(c, image, catalog.PublishOptions{}) })
			if result.Outcome != catalog.Unchanged || result.Attachment.Outcome != catalog.Skipped {
				t.Errorf("referrers %t: %s, attachment %+v; want unchanged, and skipped", referrers, result.Outcome, result.Attachment)
			}
			if len(requests) > tt.most {
				t.Errorf("referrers %t: %d requests, want at most %d:\n%s", referrers, len(requests), tt.most, strings.Join(requests, "\n"))
			}
		}
	}
}

func TestBudgetOfReading(t *testing.T) {
	w := newWorld(t, true, nil)
	publisher := w.open(catalog.Options{})
	image := w.push("os/image", "1", "1")
	for i := range 70 {
		name := fmt.Sprintf("entry-%02d", i)
		alias := strings.Replace(image, ":1", fmt.Sprintf(":v%d", i), 1)
		w.push("os/image", fmt.Sprintf("v%d", i), fmt.Sprint(i))
		w.publish(publisher, alias, catalog.PublishOptions{Name: name, NoAttach: true})
	}
	list := func(c *catalog.Catalog) func() {
		return func() {
			page, err := c.List(t.Context(), catalog.ListOptions{})
			if err != nil || page.Total != 70 {
				t.Errorf("%d entries, %v", page.Total, err)
			}
		}
	}
	cold := w.open(catalog.Options{CacheDir: t.TempDir()})
	segments, tail, other := 0, 0, 0
	for _, request := range w.counter.during(list(cold)) {
		switch {
		case strings.Contains(request, "/blobs/"):
			segments++
		case strings.Contains(request, "/manifests/entry-"):
			tail++
		default:
			other++
		}
	}
	if segments > 8 || tail >= 32 || other != 2 {
		t.Errorf("cold list: %d segments, %d of the tail, %d others; want at most 8, 31 and 2", segments, tail, other)
	}
	if warm := w.counter.during(list(cold)); len(warm) != 1 {
		t.Errorf("warm list: %v, want the tag list alone", warm)
	}
	if warm := w.counter.during(list(w.open(catalog.Options{}))); len(warm) != 1 {
		t.Errorf("warm list of another process: %v, want the tag list alone", warm)
	}
	got := w.counter.during(func() {
		if _, err := cold.Get(t.Context(), "entry-42", catalog.GetOptions{}); err != nil {
			t.Error(err)
		}
	})
	if len(got) != 0 {
		t.Errorf("get after a list: %v, want none", got)
	}
}
