package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxRenewed bounds the findings of one Evaluation that are looked into again
// because of their age.
const maxRenewed = 256

// Evaluation is what a policy makes of all names in a View: of their heads, and of
// those that have none any more. Whoever wants a name evaluated anew passes a copy
// without its finding as EvaluateOptions.Before. It is never changed.
type Evaluation struct {
	Policy   *trust.Policy
	Findings map[string]*Finding // by name
}

// Finding is what a policy makes of one name.
type Finding struct {
	Revision digest.Digest // that decides the name; "" where none is left
	Verdict  entry.Verdict
	Signers  []entry.Signer
	// Err is why the policy refuses the name: a *trust.Error. It is nil for what
	// is verified, and for what a rule only warns of.
	Err error
	// Stale says that nobody can tell now, and that it is what was found last.
	Stale bool

	doubtful bool      // it depends on what vanished
	at       time.Time // zero where there was no time to ask
}

// EvaluateOptions say what may be taken from the evaluation before.
type EvaluateOptions struct {
	Before  *Evaluation   // of an earlier View, or of this one; nil is none
	Renew   time.Duration // after how long that is looked into again which was not verified
	Offline bool          // asks no registry: what cannot be found out without is unknown
}

// Evaluate checks the signatures of everything that decides a name, under the
// policy of the catalog. What was found before under the same policy stands: for
// good if the same revision was verified, and for some time if not. If nothing
// came of it, Before is returned itself.
func (v *View) Evaluate(ctx context.Context, options EvaluateOptions) (*Evaluation, error) {
	c := v.catalog
	e := c.newEvaluator(v.view, zeroTime)
	if e.policy == nil {
		return nil, fmt.Errorf("%w: catalog %s: there is no policy", entry.ErrInvalid, c.Reference())
	}
	e.offline = options.Offline
	before := options.Before
	if before == nil || before.Policy != e.policy {
		before = &Evaluation{Policy: e.policy}
	}
	next := &Evaluation{e.policy, make(map[string]*Finding, len(v.heads)+len(v.others))}
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
	if maps.EqualFunc(before.Findings, next.Findings, (*Finding).same) && len(due) == 0 {
		return before, nil
	}
	return next, nil
}

// same reports whether two findings say the same.
func (f *Finding) same(other *Finding) bool {
	return f == other || f.Revision == other.Revision && f.Verdict == other.Verdict && f.Stale == other.Stale &&
		fmt.Sprint(f.Err) == fmt.Sprint(other.Err)
}

// due takes over what still stands, and returns the heads to be looked into.
func (e *evaluator) due(heads []ocilog.HeadRef, before, next *Evaluation, renew time.Duration) []ocilog.HeadRef {
	var due, unasked, old []ocilog.HeadRef
	now := e.options.Now()
	for _, head := range heads {
		name := head.Tag.Name
		f := before.Findings[name]
		switch {
		case f == nil || f.Revision != head.Digest || f.doubtful || e.doubtful[name]:
			due = append(due, head)
			continue
		case f.at.IsZero():
			unasked = append(unasked, head)
		case f.Verdict != entry.VerdictVerified && now.Sub(f.at) >= renew:
			old = append(old, head)
		}
		next.Findings[name] = f
	}
	if len(old) > maxRenewed { // the rest has its turn
		slices.SortFunc(old, func(a, b ocilog.HeadRef) int {
			return cmp.Or(before.Findings[a.Tag.Name].at.Compare(before.Findings[b.Tag.Name].at), a.Tag.Compare(b.Tag))
		})
		old = old[:maxRenewed]
	}
	return slices.Concat(due, unasked, old)
}

// renew looks into what heads of names say.
func (e *evaluator) renew(ctx context.Context, heads []ocilog.HeadRef, revisions []*revision.Revision, before, next *Evaluation) {
	var found []*revision.Revision
	for i, revision := range revisions {
		if revision != nil {
			found = append(found, revision)
			continue
		}
		err := &trust.Error{What: fmt.Sprintf("entry %q", heads[i].Tag.Name), Digest: heads[i].Digest, Verdict: entry.VerdictUnknown, Reason: "its revision was deleted a moment ago"}
		next.Findings[heads[i].Tag.Name] = &Finding{Revision: heads[i].Digest, Verdict: entry.VerdictUnknown, Err: err, doubtful: true}
	}
	reports, inTime := e.allInTime(ctx, found)
	now := e.options.Now()
	for i, report := range reports {
		revision := found[i]
		name := revision.Tag.Name
		f := &Finding{Revision: revision.Digest, Verdict: report.Verdict, Signers: signersOf(report), doubtful: e.doubtful[name], at: now}
		if report.Verdict == entry.VerdictUnknown && (e.offline || !inTime[i]) {
			f.at = time.Time{}
		}
		if old := before.Findings[name]; old != nil && report.Verdict == entry.VerdictUnknown && !f.doubtful && !old.doubtful &&
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
func (e *evaluator) renewAbsences(ctx context.Context, next *Evaluation) {
	now := e.options.Now()
	for _, name := range slices.Sorted(maps.Keys(e.doubtful)) {
		if next.Findings[name] != nil {
			continue
		}
		if err := e.absence(ctx, name); err != nil {
			f := &Finding{Verdict: entry.VerdictInvalid, Err: err, doubtful: true, at: now}
			if refused, ok := errors.AsType[*trust.Error](err); ok {
				f.Verdict = refused.Verdict
			}
			next.Findings[name] = f
		}
	}
}
