package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// heads are the revisions that decide names: those of live entries, or removals.
type heads map[string]digest.Digest

// headsOf are those at the end of a history.
func headsOf(events []entry.Event) heads {
	all, last := heads{}, map[string]string{}
	for _, event := range events {
		if event.Tag > last[event.Name] {
			last[event.Name], all[event.Name] = event.Tag, event.Revision
		}
	}
	return all
}

// heads returns those of the source now.
func (s *source) heads() heads { return headsOf(s.events()) }

func (s *source) events() []entry.Event {
	s.t.Helper()
	c, err := catalog.Open(s.on.catalog, catalog.Options{Registry: s.client})
	if err != nil {
		s.t.Fatal(err)
	}
	events, err := c.History(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

// crowd publishes and removes entries of a few names each, until it is told to end.
func (s *source) crowd(members int) (end func()) {
	var stopped atomic.Bool
	var group sync.WaitGroup
	for member := range members {
		group.Go(func() {
			for n := 1; !stopped.Load(); n++ {
				name := fmt.Sprintf("plain-c%d-%d", member, rand.IntN(3))
				var err error
				if rand.IntN(3) == 0 {
					_, err = s.catalog.Remove(s.t.Context(), name, catalog.RemoveOptions{Sign: s.sign})
				} else {
					err = s.publish(name, fmt.Sprint(n), catalog.PublishOptions{Name: name, Sign: s.sign})
				}
				if err != nil && !errors.Is(err, entry.ErrNotFound) {
					s.t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	return func() {
		stopped.Store(true)
		group.Wait()
	}
}

// watcher reads a destination again and again, and remembers what it was shown.
type watcher struct {
	s       *source
	catalog string
	bounds  atomic.Pointer[heads] // of the source, when the copy under way began
	seen    []sighting
	ended   chan struct{}
}

// sighting is what a reader that knew nothing was shown. What is new in it was copied
// by a copy that began after the bounds.
type sighting struct {
	bounds heads
	live   heads
}

func (s *source) watch(catalog string) *watcher {
	return &watcher{s: s, catalog: catalog, ended: make(chan struct{})}
}

// begins notes that a copy begins.
func (w *watcher) begins() {
	now := w.s.heads()
	w.bounds.Store(&now)
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.ended)
	for before := *w.bounds.Load(); ctx.Err() == nil; {
		next := *w.bounds.Load()
		c, err := catalog.Open(w.catalog, catalog.Options{Registry: w.s.client}) // whose connections are kept
		if err != nil {
			w.s.t.Error(err)
			return
		}
		page, err := c.List(w.s.t.Context(), catalog.ListOptions{})
		switch {
		case errors.Is(err, entry.ErrNotFound): // nothing is there yet
		case err != nil:
			w.s.t.Error(err)
			return
		default:
			live := heads{}
			for _, item := range page.Items {
				live[item.Name] = item.Revision
			}
			w.seen = append(w.seen, sighting{before, live})
		}
		before = next
	}
}

// judge checks all that was seen against what happened at the source: each state was
// one there, none was superseded or removed when its copy began, and no name went back.
func (w *watcher) judge(events []entry.Event) {
	w.s.t.Helper()
	slices.SortFunc(events, func(a, b entry.Event) int { return a.At.Compare(b.At.Time) })
	order, removed := map[digest.Digest]int{}, map[string][]int{}
	for n, event := range events {
		order[event.Revision] = n + 1
		if event.Operation == "remove" {
			removed[event.Name] = append(removed[event.Name], n+1)
		}
	}
	last := map[string]int{}
	for _, seen := range w.seen {
		for name, revision := range seen.live {
			at := order[revision]
			if at == 0 || slices.Contains(removed[name], at) || at < last[name] || last[name] == 0 && at < order[seen.bounds[name]] {
				w.s.t.Errorf("%s is shown as %s, event %d, after %d, and when its copy began it was %d", name, revision, at, last[name], order[seen.bounds[name]])
			}
			last[name] = at
		}
		for name, at := range last {
			if _, live := seen.live[name]; !live && !slices.ContainsFunc(removed[name], func(r int) bool { return r > at }) {
				w.s.t.Errorf("%s is gone after event %d, and was not removed since", name, at)
			}
		}
	}
}

// logTag is a tag of the log, or of what stands beside it and is copied as it is.
var logTag = regexp.MustCompile(`^[a-z0-9][-a-z0-9.]*\.[0-9a-z]{9}\.[pr][0-9a-f]{16}$`)

// log returns the revisions of a catalog, by their tags.
func (w *world) log(reference string) []string {
	w.t.Helper()
	return slices.DeleteFunc(slices.Sorted(slices.Values(w.tags(reference))), func(tag string) bool { return !logTag.MatchString(tag) })
}

// A copy that is killed at any moment, while others publish and remove, leaves a
// destination that shows nothing superseded or removed; one more makes it what an
// undisturbed copy is.
func TestKilledWhileCopying(t *testing.T) {
	t.Parallel()
	kills, members := 4, 2
	if *full {
		kills, members = 20, 8
	}
	s := newSource(t, "ggcr")
	s.fill(0, 30)
	took := time.Now()
	s.copyTo(newCounted(t, "distribution-3.1").address + "/mirror/catalog")
	within := time.Since(took)

	to := newCounted(t, "distribution-3.1")
	on := target{catalog: to.address + "/mirror/catalog"}
	watcher := s.watch(on.catalog)
	watcher.begins()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go watcher.run(ctx)
	end := s.crowd(members)
	copier, ended := s.elsewhere(), 0
	copier.env = append(copier.env, "TMPDIR="+emptyDir(t))
	for range kills {
		watcher.begins()
		if copier.killed(rand.N(within), nil, "catalog", "copy", s.on.catalog, on.catalog, "--timeout", "10m") {
			ended++
		}
	}
	end()
	watcher.begins()
	s.copyTo(on.catalog)
	stop()
	<-watcher.ended
	watcher.judge(s.events())
	t.Logf("an undisturbed copy takes %s; %d of %d had ended before they were killed; %d sightings, of %d events", within, ended, kills, len(watcher.seen), len(s.events()))

	undisturbed := newCounted(t, "distribution-3.1").address + "/mirror/catalog"
	s.copyTo(undisturbed)
	copied, other := newWorld(t, on), newWorld(t, target{catalog: undisturbed})
	if diff := cmp.Diff(other.log(undisturbed), copied.log(on.catalog)); diff != "" || len(copied.log(on.catalog)) < 30 {
		t.Errorf("revisions (-undisturbed +killed):\n%s", diff)
	}
	s.of.stop()
	if diff := cmp.Diff(other.show(s.public), copied.show(s.public), cmp.AllowUnexported(shownCopy{})); diff != "" {
		t.Errorf("what is shown (-undisturbed +killed):\n%.4000s", diff)
	}
	copied.ok("catalog", "verify", "--all", "--key", s.public, "--timeout", "10m")
}
