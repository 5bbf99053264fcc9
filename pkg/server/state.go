package server

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/trust"
)

// state is everything that is served, at one moment. It is immutable but for
// what is prepared on demand.
type state struct {
	entries []*servedEntry
	byKey   map[health.Key]*servedEntry
	byName  map[string]*servedEntry // of several catalogs, the first that has the name
	lists   *listCache

	decisions *decisions // of all names, live or not; nil where fromCache

	policy   *trust.Policy               // that lets the entries through; nil is none
	refusals []*refusal                  // of what it does not, by catalog and name
	refused  map[string]*refusal         // of them, by name
	hidden   map[health.Key]*servedEntry // of them, what would be shown without the policy

	missing []string // catalogs that do not exist

	scoped sync.Map // of the keys of scopes: *state, as much of this one as each lets see

	claiming chan struct{} // full while somebody finds out what is claimed
	claimed  atomic.Pointer[map[string][]entry.Outline]

	fromCache bool // from the disk, and checked against nothing yet
}

// newState makes the state that serves entries, with the lists prepared that were
// asked of old.
func newState(ctx context.Context, old *state, entries []*servedEntry, policy *trust.Policy, refused []*refusal, missing []string) *state {
	s := &state{policy: policy, entries: entries, missing: missing, claiming: make(chan struct{}, 1), byKey: make(map[health.Key]*servedEntry, len(entries)), byName: make(map[string]*servedEntry, len(entries))}
	s.index()
	s.refuse(refused)
	if old != nil && slices.EqualFunc(old.refusals, s.refusals, func(a, b *refusal) bool { return a.key == b.key && a.view == b.view }) {
		s.claimed.Store(old.claimed.Load())
	}
	s.lists = newListCache(s)
	if old != nil {
		s.lists.prepare(ctx, old.lists.hot())
	}
	s.lists.prepare(ctx, []string{""})
	return s
}

// index fills in by what entries are found.
func (s *state) index() {
	for _, i := range s.entries {
		s.byKey[i.key()] = i
		if s.byName[i.name()] == nil {
			s.byName[i.name()] = i
		}
	}
}

// inParallel does something for each of count things, on all processors.
func inParallel(ctx context.Context, count int, do func(n int) error) error {
	workers, ctx := errgroup.WithContext(ctx)
	part := count/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < count; from += part {
		workers.Go(func() error {
			for n := from; n < min(from+part, count); n++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}
