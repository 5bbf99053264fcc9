package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// screen returns the live entries that the policy lets through, with their
// verdicts, and all else: whatever decides a name and is not verified, be it a
// publication, a removal or of a later format, and names whose last state was
// taken away. asOf is the time of the state that is shown.
func (c *Catalog) screen(ctx context.Context, view *ocilog.View, asOf time.Time, heads []*revision.Revision) (items []entry.Item, refused []Head) {
	e := c.newEvaluator(view, asOf)
	defer e.done(ctx)
	decided := map[string]bool{}
	for i, report := range e.all(ctx, heads) {
		head := heads[i]
		decided[head.Tag.Name] = true
		if err := c.refusal(head, report); err != nil {
			refused = append(refused, Head{Name: head.Tag.Name, Revision: head.Digest, Err: err})
		} else if head.Document != nil {
			item := head.Item()
			item.Verdict, item.Signers = report.Verdict, signersOf(report)
			items = append(items, item)
		}
	}
	return items, append(refused, e.absences(ctx, decided)...)
}

// absences returns those doubtful names that nothing decides.
func (e *evaluator) absences(ctx context.Context, decided map[string]bool) (refused []Head) {
	for _, name := range slices.Sorted(maps.Keys(e.doubtful)) {
		if decided[name] {
			continue
		}
		if err := e.absence(ctx, name); err != nil {
			refused = append(refused, Head{Name: name, Err: err})
		}
	}
	return refused
}

// refusal returns the error that refuses a revision, or tells of one that only
// warns.
func (c *Catalog) refusal(revision *revision.Revision, report trust.Report) error {
	what := subject(revision)
	err := report.Err(what, revision.Digest)
	if err == nil && report.Verdict != entry.VerdictVerified {
		c.warn(WarnPolicy, revision.Tag.Name, fmt.Errorf("%s is %s: %s", what, report.Verdict, report.Reason))
	}
	return err
}

// signersOf returns those whom the rule names and who have signed, as far as they
// were looked for.
func signersOf(report trust.Report) (all []entry.Signer) {
	for _, check := range report.Checks {
		all = append(all, check.Signers...)
	}
	return all
}

// subject is what messages call a revision.
func subject(rev *revision.Revision) string {
	what := fmt.Sprintf("entry %q", rev.Tag.Name)
	switch {
	case rev.Tag.Op == revision.OpRemove:
		return "the removal of " + what
	case rev.Later != "":
		return what + ", of a later format,"
	}
	return what
}

// absence returns an error if it is not to be believed that a name has no state:
// it had one that was signed, or a tag of it holds what nobody can read.
func (e *evaluator) absence(ctx context.Context, name string) error {
	return e.newest(ctx, fmt.Sprintf("the absence of entry %q", name), name, revision.Tag{})
}

// newest returns an error, about what, unless the tag that decides a name is the
// latest there was of it.
func (e *evaluator) newest(ctx context.Context, what, name string, head revision.Tag) error {
	check := e.latest(ctx, name, head)
	if check.Result == entry.VerdictVerified {
		return nil
	}
	if e.rule(name).Warn {
		e.warn(WarnPolicy, name, fmt.Errorf("entry %q: %s", name, check.Reason))
		return nil
	}
	return &trust.Error{What: what, Digest: check.Digest, Verdict: check.Result, Subject: check.Subject, Reason: check.Reason}
}

// admit returns the item of a publication, with its verdict, or the error that
// refuses it; one of a later format is an entry.ErrLaterFormat unless the policy
// refuses it. options say which state of the view was asked for; a nil view is for
// a single revision.
func (c *Catalog) admit(ctx context.Context, view *ocilog.View, revision *revision.Revision, options GetOptions) (entry.Item, error) {
	var report trust.Report
	if c.policy() != nil {
		e := c.newEvaluator(view, options.AsOf)
		e.everybody = options.Signers
		defer e.done(ctx)
		report = e.report(ctx, revision)
		if err := c.refusal(revision, report); err != nil {
			return entry.Item{}, err
		}
	}
	if err := revision.CheckFormat(); err != nil {
		return entry.Item{}, err
	}
	item := revision.Item()
	item.Verdict, item.Signers = report.Verdict, signersOf(report)
	return item, nil
}

// absent returns what it means that a name is not live: not found, unless the
// policy does not believe it, because nobody signed the removal or the last
// state was taken away.
func (c *Catalog) absent(ctx context.Context, view *ocilog.View, name string, asOf time.Time, removal *revision.Revision) error {
	missing := fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	if removal == nil {
		view.CheckList(ctx)
	}
	if c.policy() == nil {
		return missing
	}
	e := c.newEvaluator(view, asOf)
	defer e.done(ctx)
	var err error
	if removal != nil {
		err = c.refusal(removal, e.report(ctx, removal))
	} else {
		err = e.absence(ctx, name)
	}
	if err != nil {
		return err
	}
	return missing
}
