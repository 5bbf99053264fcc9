package catalog_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

func TestEditKeepsWhatItDoesNotName(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{Author: "alice"})
	image := w.push("os/autosd", "1", "1")
	before := w.publish(c, image, catalog.PublishOptions{
		Version: "1", Description: "d", Tags: []string{"nightly"}, Labels: map[string]string{"team": "os"},
		Metadata: entry.Metadata{Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "booted"}}},
	}).Item
	change := entry.Change{Set: map[string]string{"version": "2"}, AddTags: []string{"qa"}}
	var result catalog.PublishResult
	var err error
	requests := w.counter.during(func() { result, err = c.Edit(t.Context(), "autosd", change, catalog.EditOptions{}) })
	if err != nil || result.Outcome != catalog.Published || result.Attachment.Outcome != catalog.Skipped {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, request := range requests {
		if strings.Contains(request, "/v2/os/") {
			t.Errorf("the image's registry was asked: %s", request)
		}
	}
	after, err := w.open(catalog.Options{}).Get(t.Context(), "autosd", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Version, want.Tags = "2", []string{"nightly", "qa"}
	want.Revision, want.PublishedAt, want.CreatedAt, want.LastVerified = after.Revision, after.PublishedAt, after.CreatedAt, after.LastVerified
	if diff := cmp.Diff(want, after); diff != "" {
		t.Error(diff)
	}
	requests = w.counter.during(func() { result, err = c.Edit(t.Context(), "autosd", change, catalog.EditOptions{}) })
	if wrote := writes(requests); err != nil || result.Outcome != catalog.Unchanged || len(wrote) > 0 {
		t.Errorf("the same again: %s, %v, and wrote %v", result.Outcome, err, wrote)
	}
}

func TestEditRefuses(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{Fresh: -1})
	w.publish(c, w.push("os/autosd", "1", "1"), catalog.PublishOptions{})
	w.publish(c, w.push("os/gone", "1", "2"), catalog.PublishOptions{})
	if _, err := c.Remove(t.Context(), "gone", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	text := "x"
	for _, tt := range []struct {
		name, entry string
		change      entry.Change
		options     catalog.EditOptions
		want        error
	}{
		{"a name that is none", "No Name", entry.Change{}, catalog.EditOptions{}, entry.ErrInvalid},
		{"a name that never was", "none", entry.Change{}, catalog.EditOptions{}, entry.ErrNotFound},
		{"a name that was removed", "gone", entry.Change{}, catalog.EditOptions{}, entry.ErrNotFound},
		{"a member that is none", "autosd", entry.Change{Set: map[string]string{"digest": "x"}}, catalog.EditOptions{}, entry.ErrInvalid},
		{"a tag with a space", "autosd", entry.Change{AddTags: []string{"a b"}}, catalog.EditOptions{}, entry.ErrInvalid},
		{"a target without a name", "autosd", entry.Change{Targets: []entry.TargetChange{{Notes: &text}}}, catalog.EditOptions{}, entry.ErrInvalid},
		{"another revision", "autosd", entry.Change{AddTags: []string{"a"}}, catalog.EditOptions{Match: digest.FromString("x")}, entry.ErrConflict},
		{"another revision, unchanged", "autosd", entry.Change{}, catalog.EditOptions{Match: digest.FromString("x")}, entry.ErrConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			requests := w.counter.during(func() { _, err = c.Edit(t.Context(), tt.entry, tt.change, tt.options) })
			if wrote := writes(requests); !errors.Is(err, tt.want) || len(wrote) > 0 {
				t.Errorf("error %v, want %v; wrote %v", err, tt.want, wrote)
			}
		})
	}
	result, err := c.Edit(t.Context(), "autosd", entry.Change{AddTags: []string{"a"}}, catalog.EditOptions{DryRun: true})
	if err != nil || result.Outcome != catalog.Planned || !slices.Contains(result.Item.Tags, "a") {
		t.Errorf("dry run: %+v, %v", result, err)
	}
}

// meeting holds the first write under a tag of the log until as many arrive, so that
// all writers go by what was there before any of them.
type meeting struct {
	mu      sync.Mutex
	missing int
	all     chan struct{}
}

func (m *meeting) expect(writers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.missing, m.all = writers, make(chan struct{})
}

func (m *meeting) arrive() {
	m.mu.Lock()
	if m.missing == 0 {
		m.mu.Unlock()
		return
	}
	all := m.all
	if m.missing--; m.missing == 0 {
		close(all)
	}
	m.mu.Unlock()
	select {
	case <-all:
	case <-time.After(20 * time.Second): // the test says what is missing then
	}
}

func (m *meeting) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/team/catalog/manifests/") {
			m.arrive()
		}
		next.ServeHTTP(w, r)
	})
}

// Two editors of one base lose nothing, and neither has to try again.
func TestTwoEditorsOfOneBase(t *testing.T) {
	met := &meeting{}
	w := newWorld(t, true, met.wrap)
	w.publish(w.open(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{})
	editors := []*catalog.Catalog{w.open(catalog.Options{Fresh: -1}), w.open(catalog.Options{Fresh: -1})}
	var want []string
	for round := range 50 {
		met.expect(len(editors))
		var group sync.WaitGroup
		for i, c := range editors {
			tag := fmt.Sprintf("e%d-%d", i, round)
			want = append(want, tag)
			change := entry.Change{AddTags: []string{tag}}
			if round > 0 { // tags are bounded
				change.RemoveTags = []string{fmt.Sprintf("e%d-%d", i, round-1)}
				want = want[1:]
			}
			group.Go(func() {
				if _, err := c.Edit(t.Context(), "autosd", change, catalog.EditOptions{}); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		testwait.Return(t, "both editors", group.Wait)
		item, err := w.open(catalog.Options{}).Get(t.Context(), "autosd", catalog.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(slices.Values(item.Tags)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Fatalf("round %d: tags %v, want %v", round, got, want)
		}
	}
}

// What another writer does to the entry meanwhile is not undone by an edit.
func TestEditGivesWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other func(w *world, c *catalog.Catalog) error
		want  error
		check func(item entry.Item, err error) bool
	}{
		{"to another image", func(w *world, c *catalog.Catalog) error {
			_, err := c.Publish(w.t.Context(), w.host+"/os/autosd:2", catalog.PublishOptions{Version: "2"})
			return err
		}, entry.ErrConflict, func(item entry.Item, err error) bool {
			return err == nil && item.Version == "2" && len(item.Tags) == 0
		}},
		{"to a removal", func(w *world, c *catalog.Catalog) error {
			_, err := c.Remove(w.t.Context(), "autosd", catalog.RemoveOptions{})
			return err
		}, entry.ErrNotFound, func(_ entry.Item, err error) bool { return errors.Is(err, entry.ErrNotFound) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			met := &meeting{}
			w := newWorld(t, true, met.wrap)
			w.push("os/autosd", "2", "2")
			w.publish(w.open(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{})
			for _, ahead := range []time.Duration{-time.Minute, time.Minute} { // of the editor's clock: it comes first, or last
				at := time.Now().Add(3 * time.Minute)
				editor := w.open(catalog.Options{Now: func() time.Time { return at.Add(ahead) }})
				other := w.open(catalog.Options{Now: func() time.Time { return at }})
				if ahead > 0 {
					w.publish(w.open(catalog.Options{}), w.host+"/os/autosd:1", catalog.PublishOptions{Version: "3"})
				}
				met.expect(2)
				var edited, done error
				var group sync.WaitGroup
				group.Go(func() {
					_, edited = editor.Edit(t.Context(), "autosd", entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{})
				})
				group.Go(func() { done = tt.other(w, other) })
				testwait.Return(t, "editor and other", group.Wait)
				if errors.Is(done, entry.ErrConflict) && ahead > 0 {
					done = nil // a publisher is told that an edit came later, though it says the publication again
				}
				if done != nil || edited != nil && !errors.Is(edited, tt.want) || ahead > 0 && edited == nil {
					t.Errorf("clock %s ahead: edit %v, want %v; other %v", ahead, edited, tt.want, done)
				}
				if item, err := w.open(catalog.Options{}).Get(t.Context(), "autosd", catalog.GetOptions{}); !tt.check(item, err) {
					t.Errorf("clock %s ahead: %+v, %v", ahead, item, err)
				}
			}
		})
	}
}

// What is only in a snapshot, because somebody deleted it, did not come between.
func TestEditLeavesWhatWasDeletedWhereItIs(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	image := w.push("team/image", "1", "1")
	w.publish(c, image, catalog.PublishOptions{Name: "image", Description: "before"})
	deleted := w.publish(c, image, catalog.PublishOptions{Name: "image", Description: "deleted"})
	w.fill(c, 31, nil)
	w.remove(deleted.Tag)

	other := w.open(catalog.Options{CacheDir: t.TempDir(), StateDir: t.TempDir()})
	if result, err := other.Edit(t.Context(), "image", entry.Change{AddTags: []string{"edited"}}, catalog.EditOptions{}); err != nil || result.Item.Description != "before" {
		t.Errorf("description %q, error %v; want that of the revision that was edited", result.Item.Description, err)
	}
	if events, err := other.History(t.Context(), "image"); err != nil || len(events) != 2 {
		t.Errorf("%d revisions, error %v; want 2: the one before and the edit", len(events), err)
	}
}
