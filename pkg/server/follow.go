package server

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

const (
	readWithin = 2 * time.Minute // bounds one read of a log
	settle     = time.Second     // between a change of phases and the state that shows it
	maxRefresh = 24 * time.Hour
)

// follower keeps the state of a server current: it reads each log every now
// and then, and makes a new state when one changed.
type follower struct {
	server   *Server
	followed []*followed
	phases   chan struct{}         // what is known of an image changed
	times    chan struct{}         // only when it was found out
	fresh    atomic.Int64          // until when the state counts as current: nanoseconds since the server was made
	caughtUp func()                // told whenever the state is current
	kept     time.Time             // when what was kept on disk was read from the logs; zero if nothing was. Set before there is a state
	building sync.Mutex            // one new state at a time
	shown    []serving.View        // what the state was made of, by catalog; guarded by building
	found    []*serving.Evaluation // of them, nil without a policy; guarded by building
	outdated atomic.Bool           // a verdict that is shown could not be found out again
}

// followed is one catalog.
type followed struct {
	catalog    source
	reading    sync.Mutex    // one read at a time
	evaluating sync.Mutex    // one evaluation at a time
	hurry      chan struct{} // asks for a read at once

	mu         sync.Mutex
	view       serving.View
	evaluation *serving.Evaluation // of this view, or of one before; nil without a policy
	read       time.Time           // when the last read that is shown began; zero for one from the cache
	failure    error               // of the last read; nil if it succeeded
	doubted    bool                // the last read showed an empty catalog where there were entries
	missing    bool                // the last read was without much that the catalog had
}

func newFollower(s *Server, sources []source) *follower {
	f := &follower{server: s, phases: make(chan struct{}, 1), times: make(chan struct{}, 1), caughtUp: sync.OnceFunc(func() { close(s.caughtUp) })}
	for _, c := range sources {
		f.followed = append(f.followed, &followed{catalog: c, hurry: make(chan struct{}, 1)})
	}
	return f
}

func (f *followed) last() serving.View {
	view, _ := f.lastEvaluated()
	return view
}

// lastEvaluated returns the last view, and what the policy makes of it.
func (f *followed) lastEvaluated() (serving.View, *serving.Evaluation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.evaluation
}

// label is what an item of several catalogs is marked with.
func (f *follower) label(one *followed) string {
	if len(f.followed) > 1 {
		return one.catalog.Reference()
	}
	return ""
}

// run follows until ctx ends. What was kept of the last state is served at
// once, then what the cache holds of the logs.
func (f *follower) run(ctx context.Context) {
	f.server.loadCacheFile(ctx)
	fromCache := false
	for _, one := range f.followed {
		if view, err := one.catalog.ReadCached(ctx); err == nil {
			one.mu.Lock()
			one.view = view
			one.mu.Unlock()
			fromCache = f.evaluate(ctx, one, true) == nil || fromCache
		}
	}
	if fromCache {
		_ = f.show(ctx) // the first view makes up for it
	}
	var parts sync.WaitGroup
	for _, one := range f.followed {
		parts.Go(func() { f.follow(ctx, one) })
	}
	parts.Go(func() { f.settlePhases(ctx) })
	parts.Wait()
}

// follow reads one log again and again, at times that no two servers share.
func (f *follower) follow(ctx context.Context, one *followed) {
	for {
		_ = f.refresh(ctx, one) // noted and shown by readyz
		every := f.server.options.Refresh
		if one.isDoubted() {
			every = min(every, time.Second)
		}
		timer := time.NewTimer(every - every/10 + rand.N(every/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-one.hurry:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (f *followed) isDoubted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doubted
}

// refresh reads one log now. A failure leaves the last good state.
func (f *follower) refresh(ctx context.Context, one *followed) error {
	one.reading.Lock()
	defer one.reading.Unlock()
	within, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	begun := time.Now()
	view, err := one.catalog.Read(within)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	one.mu.Lock()
	had := one.view != nil && !one.view.Empty()
	if err == nil && had && view.Empty() && !one.doubted {
		// Registries show an empty repository while they start, or lose their
		// storage: one such answer is not believed.
		one.doubted, one.failure = true, errDoubted
		one.mu.Unlock()
		f.server.log.Warn("the catalog turned up empty: looking again before that is believed", "catalog", one.catalog.Reference())
		f.mark()
		return errDoubted
	}
	var missing *catalog.MissingError
	one.missing = errors.As(err, &missing)
	if err == nil {
		one.doubted, one.view = false, view
	}
	one.mu.Unlock()
	if err == nil {
		err = f.evaluate(within, one, false)
	}
	if err == nil {
		err = f.show(within)
	}
	one.mu.Lock()
	if one.failure = err; err == nil {
		one.read = begun
	}
	one.mu.Unlock()
	f.mark()
	if err != nil {
		f.server.metrics.refreshFailures.Inc()
		text := "the catalog could not be read: serving the last state"
		if f.server.policyFailure() != nil {
			text = "the catalog could not be shown"
		}
		f.server.log.Warn(text, "catalog", one.catalog.Reference(), "error", err.Error())
		return err
	}
	f.server.log.Debug("catalog read", "catalog", one.catalog.Reference(), slog.Duration("took", time.Since(begun)))
	return nil
}

var errDoubted = problem(502, "unreachable", "the catalog turned up empty and is read again")

// mark notes until when the state counts as current: as long as no catalog
// missed three refreshes, and none is from the cache, in doubt, or without much
// of what it had.
func (f *follower) mark() {
	until := time.Duration(math.MaxInt64)
	for _, one := range f.followed {
		one.mu.Lock()
		if one.read.IsZero() || one.doubted || one.missing {
			until = 0
		} else {
			until = min(until, one.read.Sub(f.server.started)+3*f.server.options.Refresh)
		}
		one.mu.Unlock()
	}
	f.fresh.Store(int64(until))
	if until > 0 {
		f.caughtUp()
	}
}

// isStale reports whether the state is not known to be current. Its clock does
// not jump.
func (f *follower) isStale() bool {
	return f.outdated.Load() || int64(time.Since(f.server.started)) >= f.fresh.Load()
}
