package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

const (
	verifyEvery  = 2 * time.Second // at most one triggered probe of an entry
	maxVerifying = 64              // triggered probes under way
	maxThrottled = 10_000          // entries that are remembered
	verifyWithin = 2 * time.Minute // bounds the verification of a whole entry
)

// throttle lets each entry through once in a while.
type throttle struct {
	every time.Duration
	slots chan struct{}
	mu    sync.Mutex
	last  map[health.Key]time.Time
}

func newThrottle(every time.Duration) *throttle {
	return &throttle{every: every, slots: make(chan struct{}, maxVerifying), last: map[health.Key]time.Time{}}
}

// wait returns how long an entry has to wait yet; 0 lets it through, now.
func (t *throttle) wait(key health.Key) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if left := t.every - now.Sub(t.last[key]); left > 0 {
		return left
	}
	if len(t.last) >= maxThrottled {
		for old, at := range t.last {
			if now.Sub(at) > t.every {
				delete(t.last, old)
			}
		}
		if len(t.last) >= maxThrottled {
			return t.every
		}
	}
	t.last[key] = now
	return 0
}

// verifyEntry answers POST /v1/catalog/images/{name}/verify: a probe of the
// entry starts now.
func (s *Server) verifyEntry(w http.ResponseWriter, r *http.Request) {
	now := s.current(w, r)
	if now == nil {
		return
	}
	e, waits, options, err := s.toVerify(now, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if answer := s.notProbed(e, waits); answer != nil {
		s.respond(w, r, http.StatusOK, answer)
		return
	}
	done, free := s.mayVerify(w, r, e)
	switch {
	case !free:
		return
	case waits:
		defer done()
		s.verifyWhole(w, r, e, options)
		return
	}
	id, by := requestID(w), readerName(r.Context())
	begun := s.probes.do(func(ctx context.Context) {
		defer done()
		s.probeNow(ctx, id, by, e)
	})
	if !begun {
		done()
		s.fail(w, r, problem(http.StatusServiceUnavailable, "unreachable", "the server ends: nothing is probed any more"))
		return
	}
	s.respond(w, r, http.StatusOK, api.Verification{Message: "verification of " + e.name() + " is under way", Triggered: true, Verdict: e.outline.Verdict})
}

// toVerify returns the entry that a request is about, whether the request waits for
// what is found, and what is an error of it. A refused entry is verified, and not
// probed alone.
func (s *Server) toVerify(now *state, r *http.Request) (e *servedEntry, waits bool, options catalog.VerifyOptions, err error) {
	values, err := parseValues(r.URL.RawQuery, nil, "wait", "strict-reference", "catalog")
	if err != nil {
		return nil, false, options, err
	}
	for name, set := range map[string]*bool{"wait": &waits, "strict-reference": &options.StrictReference} {
		switch value := values.Get(name); value {
		case "", "true":
			*set = value != ""
		default:
			return nil, false, options, badQuery("%s %q: want true", name, printable(value))
		}
	}
	if options.StrictReference && !waits {
		return nil, false, options, badQuery("strict-reference is for wait=true: a probe alone answers nothing")
	}
	name := r.PathValue("name")
	e, missing := now.byName[name], now.absent(name)
	if refused := now.refused[name]; refused != nil {
		e = refused.entry
	}
	if of := values.Get("catalog"); of != "" {
		if e, missing, err = s.ofCatalog(r, now, of, name); err != nil {
			return nil, false, options, err
		}
	}
	switch {
	case e == nil, !waits && now.byKey[e.key()] == nil:
		return nil, false, options, missing
	case s.monitor == nil:
		return nil, false, options, problem(http.StatusConflict, "conflict", "this server probes nothing")
	}
	return e, waits, options, nil
}

// notProbed is the answer for an entry that is not probed although it could be: a
// gate is in the way or, where nobody waits, the breaker of its registry. nil is none.
func (s *Server) notProbed(e *servedEntry, waits bool) *api.Verification {
	if err := s.allowed(e.outline.Catalog, e.subject.reference); err != nil {
		return &api.Verification{Message: "nothing is probed, and the phase stays as it is: " + err.Error(), Verdict: e.outline.Verdict, Failure: problemOf(err)}
	}
	if !waits && s.monitor.Blocked(e.key()) {
		return &api.Verification{Message: "the registry of " + e.name() + " did not answer lately, and is left alone for some minutes: nothing is probed", Verdict: e.outline.Verdict}
	}
	return nil
}

// mayVerify takes what a verification needs: room for it, for its client, and
// that the entry was not verified a moment ago. What is refused is answered, and
// counts for nobody; what is not ends with done.
func (s *Server) mayVerify(w http.ResponseWriter, r *http.Request, e *servedEntry) (done func(), ok bool) {
	throttled := func(after int, sentence string) (func(), bool) {
		w.Header().Set("Retry-After", strconv.Itoa(after))
		s.fail(w, r, problem(http.StatusTooManyRequests, "throttled", sentence))
		return nil, false
	}
	leave, free := s.shares.verifying.take(r)
	if !free {
		return throttled(5, "too many verifications from this address are under way")
	}
	select {
	case s.verify.slots <- struct{}{}:
	default:
		leave()
		return throttled(5, "too many verifications are under way")
	}
	done = func() { <-s.verify.slots; leave() }
	if wait := s.verify.wait(e.key()); wait > 0 {
		done()
		seconds := int(wait/time.Second) + 1
		return throttled(seconds, fmt.Sprintf("%s was verified a moment ago: ask again in %d s", e.name(), seconds))
	}
	return done, true
}

// ofCatalog returns the entry with a name in one of several catalogs, refused or
// not; where it has none, missing says so.
func (s *Server) ofCatalog(r *http.Request, now *state, reference, name string) (e *servedEntry, missing, err error) {
	for _, one := range s.follower.followed {
		if one.catalog.Reference() == reference && s.scopeOf(r.Context()).seesCatalog(reference) {
			key := health.Key{Catalog: s.follower.label(one), Name: name}
			missing = absent(name)
			for _, refused := range now.refusals {
				if refused.key == key {
					missing = refused.err
				}
			}
			return now.find(key), missing, nil
		}
	}
	return nil, nil, fmt.Errorf("catalog %q: %w on this server", printable(reference), entry.ErrNotFound)
}

// verifyWhole verifies the whole entry, and answers what it found.
func (s *Server) verifyWhole(w http.ResponseWriter, r *http.Request, e *servedEntry, options catalog.VerifyOptions) {
	ctx, cancel := context.WithTimeout(r.Context(), verifyWithin)
	defer cancel()
	patiently(w, verifyWithin)
	for _, one := range s.follower.followed {
		if s.follower.label(one) != e.outline.Catalog {
			continue
		}
		found, err := one.catalog.Verify(ctx, e.name(), options)
		answer := api.Verification{Message: e.name() + " was verified", Triggered: true}
		answer.Verification, answer.Failure = s.verified(w, r, e.subject, found, err)
		if answer.Verdict = found.Verdict; answer.Verdict != e.outline.Verdict {
			_ = s.follower.renew(ctx, one, e.name()) // else the next refresh shows it
		}
		s.audit(ctx, requestID(w), verification(e, readerName(ctx)), err)
		_, _ = s.probe(ctx, e) // the phase follows; what was found is in the answer
		s.respond(w, r, http.StatusOK, answer)
		return
	}
	s.fail(w, r, problem(http.StatusConflict, "conflict", "this server verifies nothing"))
}

// verification is what the audit says of verifying an entry, on behalf of whoever may
// read it.
func verification(e *servedEntry, by string) auditRecord {
	return auditRecord{action: "verify", by: by, name: e.name(), digest: string(e.subject.digest)}
}

// probe probes at once, and shows the result. It reports false where it did not
// probe.
func (s *Server) probe(ctx context.Context, e *servedEntry) (entry.Status, bool) {
	probed := s.monitor.ProbeNow(ctx, e.key()) && ctx.Err() == nil
	if probed {
		if err := s.follower.showStatuses(ctx); err != nil {
			s.log.Warn("the phases could not be shown", "error", err.Error())
		}
	}
	found, _ := s.monitor.Status(e.key())
	return found, probed
}

// probeNow probes on behalf of a request that is answered already, and writes
// down what came of it.
func (s *Server) probeNow(ctx context.Context, id, by string, e *servedEntry) {
	found, probed := s.probe(ctx, e)
	var err error
	switch {
	case !probed:
		err = errors.New("not probed: a probe is under way, the breaker of the registry is open, or the server ends")
	case found.Phase != entry.PhaseAvailable:
		err = fmt.Errorf("%s: %s: %s", found.Phase, found.Reason, found.Message)
	}
	s.audit(ctx, id, verification(e, by), err)
}
