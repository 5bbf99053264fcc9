package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// squat publishes an image, as somebody without a key, under so many names.
func (w *world) squat(image revision.Image, count int, at time.Time) {
	w.t.Helper()
	for i := range count {
		w.forge(revision.Document{Name: fmt.Sprintf("squat-%03d", i), Image: image}, at.Add(time.Duration(i)*time.Millisecond))
	}
}

// repeats returns those requests for a path with a prefix that were made more than once.
func repeats(requests []string, prefix string) (repeated []string) {
	seen := map[string]int{}
	for _, request := range requests {
		if seen[request]++; seen[request] == 2 && strings.HasPrefix(request, "GET "+prefix) {
			repeated = append(repeated, request)
		}
	}
	return repeated
}

// However many strangers name an image, its publisher asks about few of them, about
// each once, and is told in one warning.
func TestStrangersCostAPublisherLittle(t *testing.T) {
	const strangers = 300
	w, owner, now := newWorld(t, true, nil), team(t), time.Now()
	image := w.push("os/app", "1", "1")
	w.squat(w.described("os/app", "1"), strangers, now.Add(-time.Hour))
	reader := w.open(catalog.Options{StateDir: t.TempDir()})
	if _, err := reader.List(t.Context(), catalog.ListOptions{}); err != nil { // what they say is read once
		t.Fatal(err)
	}
	publish := func() (result catalog.PublishResult, requests int) {
		c := w.open(catalog.Options{StateDir: t.TempDir(), Policy: trusting(t, owner)})
		asked := w.counter.during(func() { result = w.publish(c, image, catalog.PublishOptions{Sign: owner}) })
		if repeated := repeats(asked, "/v2/team/catalog/referrers/"); len(repeated) > 1 { // for the own revision
			t.Errorf("asked more than once: %q", repeated)
		}
		return result, len(asked)
	}
	for _, want := range []catalog.Outcome{catalog.Published, catalog.Unchanged} {
		result, requests := publish()
		t.Logf("%s: %d requests", result.Outcome, requests)
		if most := 2*64 + 60; result.Outcome != want || requests > most {
			t.Errorf("%s with %d requests, want %s with at most %d", result.Outcome, requests, want, most)
		}
		var said []string
		for _, warning := range result.Warnings {
			if warning.Kind == catalog.WarnPolicy {
				said = append(said, warning.Err.Error())
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "64 entries with the image are not verified") || !strings.Contains(said[0], "236 entries with the image were not looked at") {
			t.Errorf("warnings %q, want one with both numbers", said)
		}
	}
}

// What a stranger appends to another name does not hide from a publisher, or from who
// verifies all, that the policy verifies that name with the same image.
func TestStrangersHideNoImage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cover func(w *world, at time.Time)
	}{
		{"nothing", func(*world, time.Time) {}},
		{"another image", func(w *world, at time.Time) {
			w.forge(revision.Document{Name: "other", Image: w.described("os/else", "1")}, at)
		}},
		{"the image", func(w *world, at time.Time) {
			w.forge(revision.Document{Name: "other", Image: w.described("os/app", "1")}, at)
		}},
		{"a removal", func(w *world, at time.Time) {
			stranger := w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return at }})
			if _, err := stranger.Remove(t.Context(), "other", catalog.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
		{"a hundred images", func(w *world, at time.Time) {
			for i := range 100 {
				w.forge(revision.Document{Name: "other", Version: fmt.Sprint(i), Image: w.described("os/else", "1")}, at.Add(time.Duration(i)*time.Millisecond))
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			between := &interruption{}
			w, owner, now := newWorld(t, true, between.wrap), team(t), time.Now()
			image := w.push("os/app", "1", "1")
			w.push("os/else", "1", "2")
			at := func(ago time.Duration) *catalog.Catalog {
				return w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner), Now: func() time.Time { return now.Add(-ago) }})
			}
			w.publish(at(30*time.Minute), image, catalog.PublishOptions{Name: "other", Sign: owner})
			tt.cover(w, now.Add(-20*time.Minute))
			_, err := at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine", Sign: owner})
			checkConflict(t, err, image+` is published as "other" already`, "other")
			moved, err := at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine", Sign: owner, Move: true, DryRun: true})
			if diff := cmp.Diff([]string{"other"}, moved.MovedFrom); err != nil || diff != "" {
				t.Errorf("a move: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// The same where both publish at the same time: neither sees the other before.
func TestStrangersHideNoImageFromWhoSettles(t *testing.T) {
	between := &interruption{}
	w, owner, now := newWorld(t, true, between.wrap), team(t), time.Now()
	image := w.push("os/app", "1", "1")
	w.push("os/else", "1", "2")
	at := func(ago time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner), Now: func() time.Time { return now.Add(-ago) }})
	}
	between.commits = func() {
		w.publish(at(30*time.Minute), image, catalog.PublishOptions{Name: "other", Sign: owner})
		w.forge(revision.Document{Name: "other", Image: w.described("os/else", "1")}, now.Add(-20*time.Minute))
	}
	_, err := at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine", Sign: owner})
	checkConflict(t, err, `; "mine" was withdrawn`, "other")
}

// The note that a tag has moved on, and what verifying all says of twins, are by what
// the policy verifies, too.
func TestStrangersHideNoTwin(t *testing.T) {
	w, owner, now := newWorld(t, true, nil), team(t), time.Now()
	image := w.push("os/app", "1", "1")
	w.push("os/else", "1", "2")
	at := func(ago time.Duration, policy bool) *catalog.Catalog {
		o := catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(-ago) }}
		if policy {
			o.Policy = trusting(t, owner)
		}
		return w.open(o)
	}
	w.publish(at(50*time.Minute, true), image, catalog.PublishOptions{Name: "one", Sign: owner})
	elsewhere := w.described("os/else", "1")
	w.forge(revision.Document{Name: "one", Image: elsewhere}, now.Add(-40*time.Minute))
	// Its publisher is without a policy, and does not see the first.
	w.publish(at(30*time.Minute, false), image, catalog.PublishOptions{Name: "two", Sign: owner})
	heads, err := at(0, true).Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	twins := map[string]string{}
	for _, head := range heads {
		twins[head.Name] = head.Twin
	}
	if diff := cmp.Diff(map[string]string{"one": "", "two": "one"}, twins); diff != "" {
		t.Errorf("twins (-want +got):\n%s", diff)
	}
	w.push("os/app", "1", "3")
	result, err := at(0, true).Publish(t.Context(), image, catalog.PublishOptions{Name: "three", Sign: owner, DryRun: true})
	if said := warningText(result.Warnings); err != nil || !strings.Contains(said, "two was published from") || !strings.Contains(said, "(and one more entry with another digest)") {
		t.Errorf("%v, warnings %q; want a note of both", err, said)
	}
}
