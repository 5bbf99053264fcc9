package health

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
)

const (
	failuresToOpen = 5
	openFor        = 5 * time.Minute
	// maxSleep bounds how long a change of the clock goes unnoticed.
	maxSleep = 30 * time.Second
)

// errBreaker is a probe that told something about the registry's breaker, and
// nothing about the entry.
var errBreaker = errors.New("the breaker of the registry is open")

// Run probes what is due until ctx ends, and returns when the last probe has.
// Each probe waits for its own registry, so that a slow one keeps no other
// waiting.
func (m *Monitor) Run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		for w, due := m.due(); w != nil; w, due = m.due() {
			probes.Go(func() { m.probe(ctx, w, due) })
		}
		timer.Reset(m.sleep())
	}
}

// due takes the entry that waited longest out of the queue, or returns nil if
// none is due. Nothing keeps Run from asking in time, so one that is late by
// half its interval was not waiting: the process slept, or the clock was set.
// It waits for its next time, so that not all are probed at once.
func (m *Monitor) due() (*watched, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) > 0 {
		w, now := m.queue[0], m.options.Now()
		late := now.Sub(w.due)
		if late < 0 {
			return nil, time.Time{}
		}
		if half := w.subject.interval / 2; late > half {
			m.reschedule(w, m.next(w, now))
			continue
		}
		heap.Pop(&m.queue)
		return w, w.due
	}
	return nil, time.Time{}
}

func (m *Monitor) sleep() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		return maxSleep
	}
	now := m.options.Now()
	first := m.queue[0]
	if first.due.Sub(now) > first.subject.interval {
		// The clock was set back: what is due is not due for too long.
		for _, w := range append(queue(nil), m.queue...) {
			m.reschedule(w, m.next(w, now))
		}
		first = m.queue[0]
	}
	return min(max(first.due.Sub(now), 0), maxSleep)
}

// Blocked reports whether the breaker of an item's registry is open: a probe would
// not be made.
func (m *Monitor) Blocked(key Key) bool {
	m.mu.Lock()
	w := m.entries[key]
	if w == nil {
		m.mu.Unlock()
		return false
	}
	name := w.subject.host
	m.mu.Unlock()
	return m.host(name).breaker.State() == gobreaker.StateOpen
}

// ProbeNow probes an item at once, whatever is due. It reports false where no
// probe was made: the item is not watched, its probe is under way, it may not be
// made, or the breaker of its registry is open.
func (m *Monitor) ProbeNow(ctx context.Context, key Key) bool {
	m.mu.Lock()
	w := m.entries[key]
	if w == nil || w.index < 0 {
		m.mu.Unlock()
		return false
	}
	heap.Remove(&m.queue, w.index)
	w.index = -1
	m.mu.Unlock()
	return m.probe(ctx, w, time.Time{})
}

// probe asks for one entry that is out of the queue, and puts it back. A zero
// due is a probe out of turn. It reports false where none may be made, or the
// breaker forbids it.
func (m *Monitor) probe(ctx context.Context, w *watched, due time.Time) bool {
	m.mu.Lock()
	asked := w.subject
	m.mu.Unlock()
	v, begun, err := m.ask(ctx, &asked)
	news := m.settle(w, &asked, due, begun, func(old entry.Status, at time.Time) entry.Status {
		switch {
		case ctx.Err() != nil, errors.Is(err, gate.ErrNotAllowed):
			return old
		case errors.Is(err, errBreaker):
			return stale(old, at)
		}
		return after(old, v, at, !due.IsZero())
	})
	if errors.Is(err, gate.ErrNotAllowed) || errors.Is(err, errBreaker) {
		return false
	}
	if err != nil && v.phase != entry.PhaseAvailable && ctx.Err() == nil && m.options.Failed != nil {
		m.options.Failed(asked.key, err, news)
	}
	return true
}

// settle gives an entry that was asked for its next status, unless it is of
// another revision by now, and puts it back into the queue. It reports whether
// the status says anything new.
func (m *Monitor) settle(w *watched, asked *subject, due, begun time.Time, next func(old entry.Status, at time.Time) entry.Status) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	at := due
	switch late := begun.Sub(due); {
	case due.IsZero():
		at = begun
	case late >= asked.interval: // its registry had others to answer: the last time it was due counts
		at = due.Add(late.Truncate(asked.interval))
	}
	if m.entries[asked.key] != w {
		return false // no longer watched
	}
	old := w.status
	if w.subject.revision == asked.revision {
		w.status = next(old, at)
	}
	if w.index < 0 { // else Follow put it back
		m.reschedule(w, m.next(w, now))
	}
	news = !sameButTimes(w.status, old)
	if w.status != old && m.options.Changed != nil {
		m.options.Changed(asked.key, news)
	}
	m.nudge()
	return news
}

// ask makes one probe behind the breaker of its registry, and says when; none
// where that is not allowed.
func (m *Monitor) ask(ctx context.Context, asked *subject) (v outcome, begun time.Time, failure error) {
	if m.options.Allow != nil {
		if err := m.options.Allow(asked.item()); err != nil {
			return v, m.options.Now(), fmt.Errorf("%w: %w", gate.ErrNotAllowed, err)
		}
	}
	h := m.host(asked.host)
	for _, slots := range []chan struct{}{h.slots, m.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return v, m.options.Now(), ctx.Err()
		}
	}
	begun = m.options.Now()
	trial := h.breaker.State() != gobreaker.StateClosed
	v, err := h.breaker.Execute(func() (outcome, error) {
		within, cancel := context.WithTimeout(ctx, m.options.Timeout)
		defer cancel()
		begun := time.Now()
		failure = m.options.Probe(within, asked.item())
		v := outcomeOf(failure)
		if m.options.Probed != nil && ctx.Err() == nil && !errors.Is(failure, gate.ErrNotAllowed) {
			m.options.Probed(asked.host, v.reason, time.Since(begun))
		}
		return v, failure
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return outcome{}, begun, errBreaker
	case errors.Is(failure, gate.ErrNotAllowed):
		return v, begun, failure
	case trial && !v.answered:
		return outcome{}, begun, errBreaker
	}
	return v, begun, failure
}

// host returns the limits on requests to a registry. There are no more than entries
// name.
func (m *Monitor) host(name string) *host {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.hosts[name]
	if h == nil {
		h = &host{
			slots: make(chan struct{}, m.options.PerHost),
			breaker: gobreaker.NewCircuitBreaker[outcome](gobreaker.Settings{
				Name: name, MaxRequests: 1, Timeout: openFor,
				ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failuresToOpen },
				IsSuccessful: func(err error) bool { return outcomeOf(err).answered },
				IsExcluded: func(err error) bool {
					return errors.Is(err, context.Canceled) || errors.Is(err, gate.ErrNotAllowed)
				},
			}),
		}
		m.hosts[name] = h
	}
	return h
}
