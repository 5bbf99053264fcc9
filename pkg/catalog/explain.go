package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Explanation says what the policy makes of an entry, and why.
type Explanation struct {
	Name    string        `json:"name"`
	Catalog string        `json:"catalog"`
	Lines   []string      `json:"explanation"` // which rule applies, and what it demands
	Verdict trust.Verdict `json:"verdict,omitempty"`
	Checks  []Check       `json:"checks,omitempty"`
}

// Explain says which rule of the policy applies to a name, whether it is live
// or not, and what the verdict on its newest revision is. The error is the one
// that a reader of the entry would get.
func (c *Catalog) Explain(ctx context.Context, name string) (Explanation, error) {
	x := Explanation{Name: name, Catalog: c.Reference()}
	if err := entry.CheckName(name); err != nil {
		return x, err
	}
	if c.policy() == nil {
		return x, fmt.Errorf("%w: there is no policy", entry.ErrInvalid)
	}
	x.Lines = c.policy().Explain(c.Reference(), name)
	view, err := c.refresh(ctx, name)
	if err != nil {
		return x, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	c.warnOf(view.Warnings())
	if err != nil {
		return x, err
	}
	if head == nil {
		return x, c.absent(ctx, view, name, zeroTime, nil)
	}
	e := c.newEvaluator(view, zeroTime)
	report := e.report(ctx, head)
	e.done(ctx)
	x.Verdict, x.Checks = report.Verdict, signatureChecks(report)
	return x, c.refusal(head, report)
}

// signatureChecks shows a report's checks beside others.
func signatureChecks(report trust.Report) []Check {
	var all []Check
	for _, check := range report.Checks {
		all = append(all, Check{check.Subject, Outcome(check.Result), check.Digest, check.Signer, check.Format, check.Time, check.Reason})
	}
	return all
}
