package catalog_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// afterCommit lets others act in the middle of an edit: before its tag commits and, once
// that is over, before the log is read again.
type afterCommit struct {
	mu             sync.Mutex
	commits, looks func()
}

// between sets what others do.
func (a *afterCommit) between(commits, looks func()) {
	a.commits = func() {
		commits()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.looks = looks
	}
}

func (a *afterCommit) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do := func() {}
		a.mu.Lock()
		switch {
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/team/catalog/manifests/") && a.commits != nil:
			do, a.commits = a.commits, nil
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/team/catalog/tags/list") && a.looks != nil:
			do, a.looks = a.looks, nil
		}
		a.mu.Unlock()
		do()
		next.ServeHTTP(w, r)
	})
}

// editors edit one entry, each by a clock of its own.
type editors struct {
	*world
	t      *testing.T
	others *afterCommit
	now    time.Time
	image  string
}

func newEditors(t *testing.T) *editors {
	t.Helper()
	e := &editors{t: t, others: &afterCommit{}, now: time.Now()}
	e.world = newWorld(t, true, e.others.wrap)
	e.image = e.push("os/app", "1", "1")
	e.publish(e.at(-10*time.Minute), e.image, catalog.PublishOptions{Name: "app", Labels: map[string]string{"team": "os"}})
	return e
}

func (e *editors) at(clock time.Duration) *catalog.Catalog {
	return e.open(catalog.Options{CacheDir: e.t.TempDir(), StateDir: e.t.TempDir(), Now: func() time.Time { return e.now.Add(clock) }})
}

// edit makes a change by a clock, and returns what came of it.
func (e *editors) edit(ctx context.Context, clock time.Duration, change entry.Change) (catalog.PublishResult, error) {
	return e.at(clock).Edit(ctx, "app", change, catalog.EditOptions{})
}

// word adds a tag, and checks that the edit is done.
func (e *editors) word(clock time.Duration, word string) {
	if _, err := e.edit(e.t.Context(), clock, entry.Change{AddTags: []string{word}}); err != nil {
		e.t.Errorf("edit %s: %v", word, err)
	}
}

func (e *editors) wantTags(want ...string) entry.Item {
	e.t.Helper()
	item, err := e.at(0).Get(e.t.Context(), "app", catalog.GetOptions{})
	if got := slices.Sorted(slices.Values(item.Tags)); err != nil || !slices.Equal(got, want) {
		e.t.Errorf("tags %v, %v; want %v", got, err, want)
	}
	return item
}

// One edits what another one wrote, before that one has read the log again and merged
// the edit of a third, which it hides.
func TestThreeEditors(t *testing.T) {
	e := newEditors(t)
	e.others.between(func() { e.word(-time.Minute, "hidden") }, func() { e.word(0, "upon") })
	e.word(0, "hides")
	e.wantTags("hidden", "hides", "upon")
}

// What an edit hides whose writer was cut short, the next edit brings back, and says of
// the entry what else was changed since.
func TestAnEditBringsBackWhatIsHidden(t *testing.T) {
	e := newEditors(t)
	ctx, cut := context.WithCancel(t.Context())
	e.others.between(func() { e.word(-time.Minute, "hidden") }, cut)
	if _, err := e.edit(ctx, 0, entry.Change{AddTags: []string{"hides"}}); err == nil {
		t.Error("the edit that was cut short is done")
	}
	e.wantTags("hides")
	result, err := e.at(time.Minute).Edit(t.Context(), "app", entry.Change{AddTags: []string{"next"}}, catalog.EditOptions{DryRun: true})
	if err != nil || !slices.Contains(result.Item.Tags, "hidden") {
		t.Errorf("a dry run: %v, %v; want what is hidden", result.Item.Tags, err)
	}
	e.word(time.Minute, "next")
	e.wantTags("hidden", "hides", "next")
	if _, err := e.edit(t.Context(), 2*time.Minute, entry.Change{RemoveTags: []string{"hidden"}}); err != nil {
		t.Error(err)
	}
	e.word(3*time.Minute, "last")
	e.wantTags("hides", "last", "next") // it is brought back once
}

// Of two that say different things at the same time, the later one in the log counts,
// and both keep what else they changed.
func TestEditorsWhoDisagree(t *testing.T) {
	for name, clock := range map[string]time.Duration{"the other is earlier": -time.Minute, "the other is later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			e := newEditors(t)
			change := func(word, team string) entry.Change {
				return entry.Change{AddTags: []string{word}, SetLabels: map[string]string{"team": team}}
			}
			var other error
			e.others.between(func() { _, other = e.edit(t.Context(), clock, change("other", "other")) }, nil)
			if _, err := e.edit(t.Context(), 0, change("mine", "mine")); err != nil || other != nil {
				t.Errorf("mine: %v, other: %v; want both done", err, other)
			}
			want := "mine"
			if clock > 0 {
				want = "other"
			}
			if item := e.wantTags("mine", "other"); item.Labels["team"] != want {
				t.Errorf("team is %q, want %q", item.Labels["team"], want)
			}
		})
	}
}

// A publication of the same image that edits hide is brought to light with them: one by
// the writer of the edit, one by who edits that before.
func TestEditorsHideNoPublication(t *testing.T) {
	for name, upon := range map[string]bool{"one editor": false, "another one upon it": true} {
		t.Run(name, func(t *testing.T) {
			e := newEditors(t)
			var published error
			want, looks := []string{"hides", "published"}, func() {}
			if upon {
				looks = func() { e.word(0, "upon") }
				want = append(want, "upon")
			}
			e.others.between(func() {
				_, published = e.at(-time.Minute).Publish(t.Context(), e.image, catalog.PublishOptions{Name: "app", Version: "2", Tags: []string{"published"}})
			}, looks)
			e.word(0, "hides")
			if item := e.wantTags(want...); published != nil && !errors.Is(published, entry.ErrConflict) || item.Version != "2" {
				t.Errorf("version %q, publication %v; want that it is not lost", item.Version, published)
			}
		})
	}
}

// Nor one of another image, with what was edited of that: whoever edits the entry next
// says it again, be it the editor who hides it or another one, and is told.
func TestEditorsPutNoOlderImageInFront(t *testing.T) {
	for name, cut := range map[string]bool{"its editor": false, "another one, while that is under way": false, "another one, after that was cut short": true} {
		t.Run(name, func(t *testing.T) {
			e := newEditors(t)
			other := e.push("os/app", "2", "2")
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			next := func() {
				if _, err := e.edit(t.Context(), time.Minute, entry.Change{AddTags: []string{"upon"}}); !errors.Is(err, entry.ErrConflict) {
					t.Errorf("another editor: %v, want a conflict", err)
				}
			}
			looks := next
			if cut {
				looks = stop
			} else if name == "its editor" {
				looks = func() {}
			}
			e.others.between(func() {
				if _, err := e.at(-2*time.Minute).Publish(t.Context(), other, catalog.PublishOptions{Name: "app", Version: "2"}); err != nil {
					t.Error(err)
				}
				e.word(-time.Minute, "edited")
			}, looks)
			_, err := e.edit(ctx, 0, entry.Change{AddTags: []string{"hides"}})
			if cut {
				e.wantTags("hides")
				next()
			} else if !errors.Is(err, entry.ErrConflict) {
				t.Errorf("error %v, want a conflict", err)
			}
			if item := e.wantTags("edited"); item.Version != "2" {
				t.Errorf("version %q, want 2", item.Version)
			}
		})
	}
}
