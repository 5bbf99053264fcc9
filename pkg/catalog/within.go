package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxStrangers bounds the revisions that one command looks up and finds not verified,
// of those that decide nothing which a reader is shown: what somebody who may push, and
// has no key, makes others ask for (SPEC section 14.3). What is beyond is unknown.
const maxStrangers = 64

// maxEvidence bounds the requests that the signatures of these take: to each, anybody
// may attach hundreds that prove nothing.
const maxEvidence = 16 * maxStrangers

// bounds count what was looked up in vain. The zero value is that nothing was.
type bounds struct {
	strangers atomic.Int64
	requests  atomic.Int64
	// recalls reports whether a revision is not looked up where one was not verified a
	// few minutes ago; nil is none.
	recalls func(*revision.Revision) bool
}

// isSpent reports whether nothing more is to be looked up.
func (b *bounds) isSpent() bool {
	return b.strangers.Load() >= maxStrangers || b.requests.Load() >= maxEvidence
}

type boundsKey struct{}

// atHand is all by what is known already: what would have to be looked up is unknown.
func (e *evaluator) atHand(ctx context.Context, revisions []*revision.Revision) []trust.Report {
	return e.all(context.WithValue(ctx, lookupBudgetKey{}, new(atomic.Int64)), revisions)
}

// within is all, in the order of the revisions and as far as some bounds allow.
// isLookedUp reports of each whether it was looked up, or need not be: the others are
// unknown. What is verified costs nothing of the bounds.
func (e *evaluator) within(ctx context.Context, b *bounds, revisions []*revision.Revision) (reports []trust.Report, isLookedUp []bool) {
	reports, isLookedUp = e.atHand(ctx, revisions), make([]bool, len(revisions))
	var open []int
	for i, report := range reports {
		rev := revisions[i]
		if report.Verdict == entry.VerdictUnknown && b.recalls != nil && b.recalls(rev) {
			if recalled, ok := e.verdicts.RecallUnverified(e.rule(rev.Tag.Name), rev.Digest, e.options.Now()); ok {
				report, reports[i] = recalled, recalled
			}
		}
		if isLookedUp[i] = report.Verdict != entry.VerdictUnknown; !isLookedUp[i] {
			open = append(open, i)
		}
	}
	ctx = context.WithValue(ctx, boundsKey{}, b)
	for len(open) > 0 && !b.isSpent() {
		next := open[:min(len(open), maxParallel, maxStrangers-int(b.strangers.Load()))]
		open = open[len(next):]
		some := make([]*revision.Revision, len(next))
		for i, at := range next {
			some[i] = revisions[at]
		}
		for i, report := range e.all(ctx, some) {
			reports[next[i]], isLookedUp[next[i]] = report, true
			if report.Verdict != entry.VerdictVerified {
				b.strangers.Add(1)
			}
			e.verdicts.RememberUnverified(e.rule(some[i].Tag.Name), some[i].Digest, report, e.options.Now())
		}
	}
	return reports, isLookedUp
}

// past evaluates what histories of names hold, each in log order: the newest of each
// name first, and of what is not known already no more than is within bounds. That an
// earlier one was not verified is remembered for a few minutes, so that whoever asks
// again is told of more. What was not looked up is unknown, and reported.
func (e *evaluator) past(ctx context.Context, histories [][]*revision.Revision) map[*revision.Revision]trust.Report {
	var all []*revision.Revision
	age := map[*revision.Revision]int{} // how many of its name are later
	for _, history := range histories {
		all = append(all, history...)
		for i, rev := range history {
			age[rev] = len(history) - 1 - i
		}
	}
	slices.SortFunc(all, func(a, b *revision.Revision) int { return cmp.Or(cmp.Compare(age[a], age[b]), b.Tag.Compare(a.Tag)) })
	evaluated, isLookedUp := e.within(ctx, &bounds{recalls: func(rev *revision.Revision) bool { return age[rev] > 0 }}, all)
	reports := make(map[*revision.Revision]trust.Report, len(all))
	unseen := 0
	for i, rev := range all {
		if reports[rev] = evaluated[i]; !isLookedUp[i] {
			unseen++
		}
	}
	if unseen > 0 {
		e.warn(WarnPolicy, "", fmt.Errorf("the signatures of %s were not looked up, because too many others prove nothing: whether the policy verifies them is not known", countOf(unseen, "revision")))
	}
	return reports
}

// boundedStore counts the requests for the signatures of one digest, and refuses those
// beyond the bounds, if there are any. It may be asked from several goroutines at once.
type boundedStore struct {
	signature.Store
	bounds *bounds
	used   atomic.Int64
}

// bound makes a store keep to the bounds of a context.
func bound(ctx context.Context, store signature.Store) *boundedStore {
	b, _ := ctx.Value(boundsKey{}).(*bounds)
	return &boundedStore{Store: store, bounds: b}
}

// giveBack gives back to the bounds what was not used in vain.
func (s *boundedStore) giveBack() {
	if s.bounds != nil {
		s.bounds.requests.Add(-s.used.Load())
	}
}

func (s *boundedStore) use() error {
	s.used.Add(1)
	if s.bounds != nil && s.bounds.requests.Add(1) > maxEvidence {
		return fmt.Errorf("%w: signatures that prove nothing took more than %d requests", entry.ErrUnreachable, maxEvidence)
	}
	return nil
}

// Manifest is that of signature.Store.
func (s *boundedStore) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	if err := s.use(); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return s.Store.Manifest(ctx, reference)
}

// Blob is that of signature.Store.
func (s *boundedStore) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	return s.Store.Blob(ctx, descriptor)
}

// Referrers is that of signature.Store.
func (s *boundedStore) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	return s.Store.Referrers(ctx, subject)
}
