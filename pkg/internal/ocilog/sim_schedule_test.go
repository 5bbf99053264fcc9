package ocilog

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// schedule is one simulated history of a repository. Its actors run the real
// code; each of their requests waits until the schedule, by its seed, lets it
// take effect. It runs in a bubble of package synctest, whose clock only moves
// on when everybody waits for it, so that one seed is one history.
type schedule struct {
	seed       uint64
	rng        *rand.Rand
	setting    setting
	names      []string
	repository *repository
	others     []*repository // that are copied from and to
	actors     []*actor
	dir        string // of states and caches
	states     int    // made in dir

	mu      sync.Mutex
	pending []*request
	running int           // actors that are not done
	wake    chan struct{} // something is pending, or an actor is done

	steps   int
	settled bool // the interleaving is over: nothing lags, nothing fails
	acked   []acknowledged

	publishers   []settled                 // of images that others publish too
	editors      map[revision.Tag]*editing // by the revisions that they wrote
	twins, edits int                       // that were there to be found, and checked

	noting  sync.Mutex // guards what follows
	trace   []string
	tracing bool
	failed  string // the first violation
}

// setting is what a seed makes of the world.
type setting struct {
	policy    bool // readers require signatures
	adversary bool // somebody without a key pushes and deletes
	cached    bool // processes have a cache, too
	prunes    bool // what is superseded is deleted
	hashed    bool // whoever wants one name reads hashes, where there are any
	rush      bool // writers do little else than publish one image, and edit
	lag       int  // how many changes a reading may be late
	crashes   int  // one step in so many is a crash; 0 for none
	failures  int  // one request in so many fails; 0 for none
}

// request is a step that an actor waits for.
type request struct {
	actor    *actor
	what     string
	do       func() error
	answer   chan error
	deserted bool // its actor waits no longer; guarded by schedule.mu
}

func newSchedule(seed uint64, dir string) *schedule {
	s := &schedule{seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), dir: dir, repository: newRepository(simulated), editors: map[revision.Tag]*editing{}, wake: make(chan struct{}, 1)}
	s.setting = setting{policy: s.rng.IntN(2) == 0, adversary: s.rng.IntN(3) > 0, cached: s.rng.IntN(8) == 0, rush: s.rng.IntN(4) == 0}
	s.setting.hashed = seed%4 > 0
	if s.rng.IntN(3) > 0 {
		s.setting.lag = 1 + s.rng.IntN(4)
	}
	if s.rng.IntN(3) > 0 {
		s.setting.crashes = 30 + s.rng.IntN(100)
	}
	if s.rng.IntN(4) == 0 {
		s.setting.failures = 40
	}
	s.names = []string{"alpha", "bravo"}
	if s.rng.IntN(8) == 0 {
		s.names = []string{"alpha", "bravo", "carol", "delta", "echo"}
	}
	s.cast()
	return s
}

// version returns how many changes of a repository a request sees.
func (s *schedule) version(r *repository) int {
	all := len(r.changes)
	if s.lagNow() == 0 || s.rng.IntN(3) > 0 {
		return all
	}
	return max(0, all-s.rng.IntN(s.lagNow()+1))
}

// now is the time in the simulated world, slow enough for ties.
func (s *schedule) now() time.Time { return epoch.Add(time.Duration(s.steps) * time.Millisecond / 4) }

func (s *schedule) note(format string, args ...any) {
	if s.tracing {
		s.noting.Lock()
		defer s.noting.Unlock()
		s.trace = append(s.trace, fmt.Sprintf("%4d  ", s.steps)+fmt.Sprintf(format, args...))
	}
}

// fail notes a violation of an invariant. The first one counts.
func (s *schedule) fail(format string, args ...any) {
	s.note("VIOLATION: "+format, args...)
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.failed == "" {
		s.failed = fmt.Sprintf(format, args...)
	}
}

// wait makes a request and waits for its turn.
func (s *schedule) wait(ctx context.Context, a *actor, what string, do func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.settled {
		turn := fnv.New32a() // requests that a process makes at once have one order
		_, _ = turn.Write([]byte(what))
		time.Sleep(time.Duration(turn.Sum32() % 1e6))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps++
		err := do()
		s.note("%s: %s%s", a.name, what, outcome(err))
		return err
	}
	r := &request{actor: a, what: what, do: do, answer: make(chan error, 1)}
	s.mu.Lock()
	s.pending = append(s.pending, r)
	s.mu.Unlock()
	s.signal()
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		r.deserted = true
		return ctx.Err()
	}
}

func outcome(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func (s *schedule) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// interleave lets the actors run until all are done, one step at a time.
func (s *schedule) interleave(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer synctest.Wait() // for those that a violation cut short
	defer end()
	s.running = len(s.actors)
	for _, a := range s.actors {
		go func() {
			a.run(ctx)
			s.mu.Lock()
			s.running--
			s.mu.Unlock()
			s.signal()
		}()
	}
	for s.failed == "" {
		synctest.Wait()
		next, sleepers, over := s.next()
		switch {
		case over:
			return
		case next == nil:
			if !s.sleep() {
				return
			}
		case sleepers && s.rng.IntN(8) == 0:
			time.Sleep(time.Duration(1+s.rng.IntN(2500)) * time.Millisecond)
		default:
			s.take(next)
		}
	}
}

// lagNow is how many changes a request may be late.
func (s *schedule) lagNow() int {
	if s.settled {
		return 0
	}
	return s.setting.lag
}

// shown is how many changes of a repository a request that is made now is shown at least.
func (s *schedule) shown(r *repository) int { return max(0, len(r.changes)-s.lagNow()) }

// sleep lets the clock go on until there is something to do.
func (s *schedule) sleep() bool {
	select {
	case <-s.wake:
		return true
	case <-time.After(time.Hour):
		s.fail("nothing happens any more")
		return false
	}
}

// next chooses the next request, if there is one. sleepers reports whether an
// actor waits for the clock instead.
func (s *schedule) next() (next *request, sleepers, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.pending, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.actor.index, b.actor.index), cmp.Compare(a.what, b.what))
	})
	if len(s.pending) > 0 {
		next = s.pending[s.rng.IntN(len(s.pending))]
	}
	return next, len(s.pending) < s.running, s.running == 0
}

// take lets a request take effect, or fail, or be the last of its process.
func (s *schedule) take(r *request) {
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(other *request) bool { return other == r })
	deserted := r.deserted
	s.mu.Unlock()
	s.steps++
	in := func(odds int) bool { return odds > 0 && !r.actor.hostile && s.rng.IntN(odds) == 0 }
	switch crash, fault := in(s.setting.crashes), in(s.setting.failures); {
	case deserted || crash:
		if s.rng.IntN(2) == 0 {
			s.note("%s: %s%s, and nobody waits for the answer", r.actor.name, r.what, outcome(r.do()))
		}
		if crash {
			s.crash(r.actor)
		}
	case fault:
		if s.rng.IntN(2) == 0 {
			_ = r.do() // and the answer is lost
		}
		s.note("%s: %s: the registry is away", r.actor.name, r.what)
		r.answer <- entry.ErrUnreachable
	default:
		err := r.do()
		s.note("%s: %s%s", r.actor.name, r.what, outcome(err))
		r.answer <- err
	}
}

// crash ends a process: what it waits for never comes.
func (s *schedule) crash(a *actor) {
	s.note("%s: crashes", a.name)
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(r *request) bool { return r.actor == a })
	s.mu.Unlock()
	a.kill()
}
