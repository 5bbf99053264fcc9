package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxRenewed bounds the findings of one serving.Evaluation that are looked into
// again because of their age.
const maxRenewed = 256

// Evaluate is that of serving.View.
func (v *servedView) Evaluate(ctx context.Context, options serving.EvaluateOptions) (*serving.Evaluation, error) {
	c := v.catalog
	e := c.newEvaluator(v.view, zeroTime)
	if e.policy == nil {
		return nil, fmt.Errorf("%w: catalog %s: there is no policy", entry.ErrInvalid, c.Reference())
	}
	e.offline = options.Offline
	before := options.Before
	if before == nil || before.Policy != e.policy {
		before = &serving.Evaluation{Policy: e.policy}
	}
	next := &serving.Evaluation{Policy: e.policy, Findings: make(map[string]*serving.Finding, len(v.heads)+len(v.others))}
	due := e.due(slices.Concat(v.heads, v.others), before, next, options.Renew)
	defer v.catalog.log.Release()
	revisions, err := v.view.Revisions(ctx, due)
	if err != nil {
		return nil, err
	}
	if len(due) > 0 || len(e.doubtful) > 0 {
		e.renew(ctx, due, revisions, before, next)
		e.renewAbsences(ctx, next)
		e.done(ctx)
	}
	if maps.EqualFunc(before.Findings, next.Findings, sameFinding) && len(due) == 0 {
		return before, nil
	}
	return next, nil
}

// sameFinding reports whether two findings say the same.
func sameFinding(a, b *serving.Finding) bool {
	return a == b || a.Revision == b.Revision && a.Verdict == b.Verdict && a.Stale == b.Stale &&
		fmt.Sprint(a.Err) == fmt.Sprint(b.Err)
}

// due carries over the findings that still hold, and returns the heads to be looked into.
func (e *evaluator) due(heads []ocilog.HeadRef, before, next *serving.Evaluation, renew time.Duration) []ocilog.HeadRef {
	var due, unasked, old []ocilog.HeadRef
	now := e.options.Now()
	for _, head := range heads {
		name := head.Tag.Name
		f := before.Findings[name]
		switch {
		case f == nil || f.Revision != head.Digest || f.Doubtful || e.doubtful[name]:
			due = append(due, head)
			continue
		case f.At.IsZero():
			unasked = append(unasked, head)
		case f.Verdict != entry.VerdictVerified && now.Sub(f.At) >= renew:
			old = append(old, head)
		}
		next.Findings[name] = f
	}
	if len(old) > maxRenewed { // the rest has its turn
		slices.SortFunc(old, func(a, b ocilog.HeadRef) int {
			return cmp.Or(before.Findings[a.Tag.Name].At.Compare(before.Findings[b.Tag.Name].At), a.Tag.Compare(b.Tag))
		})
		old = old[:maxRenewed]
	}
	return slices.Concat(due, unasked, old)
}

// renew looks into what heads of names say.
func (e *evaluator) renew(ctx context.Context, heads []ocilog.HeadRef, revisions []*revision.Revision, before, next *serving.Evaluation) {
	var found []*revision.Revision
	for i, revision := range revisions {
		if revision != nil {
			found = append(found, revision)
			continue
		}
		err := &trust.Error{What: fmt.Sprintf("entry %q", heads[i].Tag.Name), Digest: heads[i].Digest, Verdict: entry.VerdictUnknown, Reason: "its revision was deleted a moment ago"}
		next.Findings[heads[i].Tag.Name] = &serving.Finding{Revision: heads[i].Digest, Verdict: entry.VerdictUnknown, Err: err, Doubtful: true}
	}
	reports, inTime := e.allInTime(ctx, found)
	now := e.options.Now()
	for i, report := range reports {
		revision := found[i]
		name := revision.Tag.Name
		f := &serving.Finding{Revision: revision.Digest, Verdict: report.Verdict, Signers: signersOf(report), Doubtful: e.doubtful[name], At: now}
		if report.Verdict == entry.VerdictUnknown && (e.offline || !inTime[i]) {
			f.At = time.Time{}
		}
		if old := before.Findings[name]; old != nil && report.Verdict == entry.VerdictUnknown && !f.Doubtful && !old.Doubtful &&
			old.Revision == f.Revision && old.Verdict != entry.VerdictUnknown && old.Verdict != entry.VerdictVerified {
			f.Verdict, f.Signers, f.Err, f.Stale = old.Verdict, old.Signers, old.Err, true
		} else if e.offline {
			f.Err = report.Err(subject(revision), revision.Digest)
		} else {
			f.Err = e.refusal(revision, report)
		}
		next.Findings[name] = f
	}
}

// renewAbsences looks into the names that are in doubt, and that nothing decides.
func (e *evaluator) renewAbsences(ctx context.Context, next *serving.Evaluation) {
	now := e.options.Now()
	for _, name := range slices.Sorted(maps.Keys(e.doubtful)) {
		if next.Findings[name] != nil {
			continue
		}
		if err := e.absence(ctx, name); err != nil {
			f := &serving.Finding{Verdict: entry.VerdictInvalid, Err: err, Doubtful: true, At: now}
			if refused, ok := errors.AsType[*trust.Error](err); ok {
				f.Verdict = refused.Verdict
			}
			next.Findings[name] = f
		}
	}
}
