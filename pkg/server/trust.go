package server

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

const (
	maxPolicyAge = 15 * time.Second // between readings of the policy, whatever Options.Refresh
	// readAgain is how long a policy that cannot be read has to be a file that
	// somebody is writing just now.
	readAgain = time.Second
)

// policyState is what a server knows of its policy. It is immutable.
type policyState struct {
	policy   *trust.Policy // the last one that could be read
	failure  error         // why the one of now cannot be read; nil if it is policy
	replaced chan struct{} // closed when another one takes its place
}

var (
	errPolicy      = problem(http.StatusServiceUnavailable, "unreachable", "the trust policy of this server cannot be read: nothing can be said about what is signed")
	errUnevaluated = problem(http.StatusServiceUnavailable, "unreachable", "the trust policy of this server changed: the signatures are being checked anew")
)

// usable reports why a state may not be shown: it is not what the policy of now
// makes of the catalogs.
func (s *Server) usable(now *state) error {
	switch t := s.trust.Load(); {
	case t == nil:
		return nil
	case t.failure != nil:
		return errPolicy
	case now.policy != t.policy:
		return errUnevaluated
	}
	return nil
}

// policyFailure reports that the policy of now cannot be read. Then nothing is
// written, either: what a policy makes of the entries there are decides what a
// publication may replace.
func (s *Server) policyFailure() error {
	if t := s.trust.Load(); t != nil && t.failure != nil {
		return errPolicy
	}
	return nil
}

// firstPolicy reads the policy that the server starts under.
func (s *Server) firstPolicy() error {
	if s.options.Policy == nil {
		return nil
	}
	policy, err := s.options.Policy()
	if err == nil {
		err = s.setPolicy(policy)
	}
	if err != nil {
		return err
	}
	s.trust.Store(&policyState{policy: policy, replaced: make(chan struct{})})
	return nil
}

// setPolicy has the catalogs check by a policy.
func (s *Server) setPolicy(policy *trust.Policy) error {
	for _, one := range s.follower.followed {
		if err := one.catalog.SetPolicy(policy); err != nil {
			return err
		}
	}
	return nil
}

// watchPolicy reads the policy again and again, until ctx ends. One that cannot
// be read twice in a row is not in force any more, and neither is the one before:
// it may be that which somebody just withdrew.
func (s *Server) watchPolicy(ctx context.Context) {
	every := min(s.options.Refresh, maxPolicyAge)
	suspect := false
	for {
		wait := every
		if suspect {
			wait = min(every, readAgain)
		}
		if pause.For(ctx, wait) != nil {
			return
		}
		policy, err := s.options.Policy()
		if err != nil && !suspect && s.trust.Load().failure == nil {
			suspect = true
			continue
		}
		suspect = false
		s.putInForce(ctx, policy, err)
	}
}

// putInForce makes a policy the one of now, or an error what is known of it.
func (s *Server) putInForce(ctx context.Context, policy *trust.Policy, err error) {
	now := s.trust.Load()
	if err != nil {
		if now.failure == nil || now.failure.Error() != err.Error() {
			s.log.Error("the trust policy cannot be read: nothing is shown until it can", "error", err.Error())
			s.replacePolicy(now, now.policy, err)
		}
		return
	}
	if policy.Hash() == now.policy.Hash() {
		if now.failure == nil {
			return
		}
		policy = now.policy // what was found under it remains
	}
	s.log.Info("another trust policy is in force", "hash", policy.Hash())
	s.replacePolicy(now, policy, nil)
	if policy != now.policy {
		_ = s.setPolicy(policy) // every catalog took one before
		if s.vouched != nil {
			s.vouched.Clear() // now that nothing is vouched for under the policy before
		}
	}
	s.follower.evaluateAll(ctx)
}

// replacePolicy has what was found under an earlier policy shown to nobody.
func (s *Server) replacePolicy(now *policyState, policy *trust.Policy, failure error) {
	s.trust.Store(&policyState{policy: policy, failure: failure, replaced: make(chan struct{})})
	close(now.replaced)
}

// evaluateWithin bounds how long new entries wait for those whose signatures take
// long to fetch.
const evaluateWithin = 30 * time.Second

// evaluate checks the signatures of what the last read of a catalog showed, under
// the policy of now, and begins anew when that is replaced.
func (f *follower) evaluate(ctx context.Context, one *followed, offline bool) error {
	for {
		t := f.server.trust.Load()
		if t == nil {
			return nil
		}
		err := f.evaluateUnder(ctx, t, one, offline)
		if f.server.trust.Load() == t || ctx.Err() != nil {
			return err
		}
	}
}

func (f *follower) evaluateUnder(ctx context.Context, t *policyState, one *followed, offline bool) error {
	if t.failure != nil {
		return errPolicy
	}
	one.evaluating.Lock()
	defer one.evaluating.Unlock()
	one.mu.Lock()
	view, before := one.view, one.evaluation
	one.mu.Unlock()
	if view == nil {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, evaluateWithin)
	defer cancel()
	go func() {
		select {
		case <-t.replaced:
			cancel()
		case <-within.Done():
		}
	}()
	found, err := view.Evaluate(within, serving.EvaluateOptions{Before: before, Renew: min(4*f.server.options.Refresh, time.Minute), Offline: offline})
	if err != nil {
		return err
	}
	one.mu.Lock()
	one.evaluation = found
	one.mu.Unlock()
	return nil
}

// evaluateAll shows what can be said under another policy without asking a
// registry, and has the rest looked up.
func (f *follower) evaluateAll(ctx context.Context) {
	for _, one := range f.followed {
		if err := f.evaluate(ctx, one, true); err != nil {
			f.server.log.Warn("the signatures could not be checked", "catalog", one.catalog.Reference(), "error", err.Error())
		}
	}
	if err := f.show(ctx); err != nil {
		f.server.log.Warn("what the policy makes of the catalogs could not be shown", "error", err.Error())
	}
	for _, one := range f.followed {
		select {
		case one.hurry <- struct{}{}:
		default:
		}
	}
}

// renew checks the signatures of an entry again, and shows what it finds.
func (f *follower) renew(ctx context.Context, one *followed, name string) error {
	one.mu.Lock()
	if one.evaluation != nil {
		rest := maps.Clone(one.evaluation.Findings)
		delete(rest, name)
		one.evaluation = &serving.Evaluation{Policy: one.evaluation.Policy, Findings: rest}
	}
	one.mu.Unlock()
	if err := f.evaluate(ctx, one, false); err != nil {
		return err
	}
	return f.show(ctx)
}
