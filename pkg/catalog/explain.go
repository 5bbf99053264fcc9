package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Explain says what the policy makes of the head of a name, live or not, by its
// signatures alone. The error is the one that a reader of the entry would get;
// Policy.Explain says which rule applies and what it requires.
func (c *Catalog) Explain(ctx context.Context, name string) (Verification, error) {
	v := Verification{Name: name}
	if err := entry.CheckName(name); err != nil {
		return v, err
	}
	if c.policy() == nil {
		return v, fmt.Errorf("%w: there is no policy", entry.ErrInvalid)
	}
	view, err := c.refresh(ctx, name)
	if err != nil {
		return v, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	c.warnOf(view.Warnings())
	if err != nil {
		return v, err
	}
	if head == nil {
		return v, c.absent(ctx, view, name, zeroTime, nil)
	}
	e := c.newEvaluator(view, zeroTime)
	report := e.report(ctx, head)
	e.done(ctx)
	v.Revision, v.Rule = head.Digest, report.Rule
	v.Verdict, v.Checks = report.Verdict, signatureChecks(report)
	return v, c.refusal(head, report)
}

// signatureChecks shows a report's checks beside others.
func signatureChecks(report trust.Report) []Check {
	var all []Check
	for _, check := range report.Checks {
		all = append(all, Check{What: check.Subject, Result: Outcome(check.Result), Digest: check.Digest, Signer: check.Signer, Format: check.Format, Time: check.Time, Reason: check.Reason})
	}
	return all
}
