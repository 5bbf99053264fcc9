package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// refusals returns what says why a head is not copied: the policy's rule for the source
// refuses it, or the one for the destination, from whose readers it would hide what
// they have. Where the policy has none for the destination, that of the source decides
// alone. nil is that there is no policy. done is to be called at the end.
func (r *copying) refusals(view *ocilog.View) (refuse func(context.Context, *revision.Revision) error, done func(context.Context)) {
	if r.from.policy() == nil {
		return nil, func(context.Context) {}
	}
	ours, theirs := r.from.newEvaluator(view, zeroTime), r.from.newEvaluator(view, zeroTime)
	theirs.ruler = r.to.ruledBy()
	r.report = ours.report
	refuse = func(ctx context.Context, head *revision.Revision) error {
		if err := r.from.refusal(head, ours.report(ctx, head)); err != nil {
			return fmt.Errorf("by the rule for %s: %w", ours.ruledBy(), err)
		}
		rule := theirs.rule(head.Tag.Name)
		if rule.Name == "" || rule.Name == ours.rule(head.Tag.Name).Name {
			return nil
		}
		if err := r.from.refusal(head, theirs.report(ctx, head)); err != nil {
			return fmt.Errorf("by the rule for %s: %w", theirs.ruler, err)
		}
		return nil
	}
	return refuse, func(ctx context.Context) {
		ours.done(ctx)
		theirs.done(ctx)
	}
}
