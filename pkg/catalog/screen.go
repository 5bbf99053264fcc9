package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/ocilog"
	"github.com/oci-catalog/caib/pkg/trust"
)

// RefusedError says what the policy refuses. It wraps an error for each entry,
// mostly a *trust.Error, so that it is an entry.ErrUntrusted, and an
// entry.ErrUnreachable where nothing could be said of one of them.
type RefusedError struct {
	Catalog string
	Refused []error
}

func (e *RefusedError) Error() string {
	if len(e.Refused) == 1 {
		return e.Refused[0].Error()
	}
	return fmt.Sprintf("the policy refuses %d entries of %s", len(e.Refused), e.Catalog)
}

// Unwrap returns the error of each entry.
func (e *RefusedError) Unwrap() []error { return e.Refused }

// screen returns the live entries that the policy lets through, with their
// verdicts, and an error for all else: entries that fail, removals that nobody
// signed, and names whose last state was taken away.
//
// stands are names that are live although they are not among the revisions.
func (c *Catalog) screen(ctx context.Context, view *ocilog.View, current bool, live, removed []*entry.Revision, stands map[string]bool) ([]entry.Item, error) {
	if !current {
		view = nil
	}
	j := c.newJudge(view)
	defer j.done()
	heads := slices.Concat(live, removed)
	var items []entry.Item
	var refused []error
	stands = maps.Clone(stands)
	if stands == nil {
		stands = map[string]bool{}
	}
	for i, report := range j.all(ctx, heads) {
		stands[heads[i].Tag.Name] = true
		if err := c.verdict(heads[i], report); err != nil {
			refused = append(refused, err)
		} else if i < len(live) {
			item := entry.NewItem(heads[i])
			item.Verdict = string(report.Verdict)
			items = append(items, item)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.shadowed)) {
		if !stands[name] {
			refused = appendError(refused, j.vanished(ctx, name))
		}
	}
	if len(refused) > 0 {
		return items, &RefusedError{Catalog: c.Reference(), Refused: refused}
	}
	return items, nil
}

func appendError(all []error, err error) []error {
	if err == nil {
		return all
	}
	return append(all, err)
}

// verdict returns the error that refuses a revision, or tells of one that only
// warns.
func (c *Catalog) verdict(revision *entry.Revision, report trust.Report) error {
	what := fmt.Sprintf("entry %q", revision.Tag.Name)
	if revision.Tag.Op == entry.OpRemove {
		what = "the removal of " + what
	}
	err := report.Err(what, revision.Digest)
	if err == nil && report.Verdict != trust.Verified {
		c.warn(fmt.Errorf("%s is %s: %s", what, report.Verdict, report.Reason()))
	}
	return err
}

// vanished returns an error if a name that has no state now had one that was
// signed.
func (j *judge) vanished(ctx context.Context, name string) error {
	lost, err := j.lost(ctx, name)
	if err != nil || lost == nil {
		return err
	}
	if j.rule(name).Warn() {
		j.warn(fmt.Errorf("entry %q: %s", name, rolledBack(lost)))
		return nil
	}
	return &trust.Error{What: fmt.Sprintf("the absence of entry %q", name), Digest: lost.Digest, Verdict: trust.Invalid, Reason: rolledBack(lost)}
}

// admit returns the item of a publication, with its verdict, or the error that
// refuses it. current tells whether it is the newest state that was asked for.
func (c *Catalog) admit(ctx context.Context, view *ocilog.View, revision *entry.Revision, current bool) (entry.Item, error) {
	item := entry.NewItem(revision)
	if c.options.Policy == nil {
		return item, nil
	}
	if !current {
		view = nil
	}
	j := c.newJudge(view)
	defer j.done()
	report := j.report(ctx, revision)
	if err := c.verdict(revision, report); err != nil {
		return entry.Item{}, err
	}
	item.Verdict = string(report.Verdict)
	return item, nil
}

// absent returns what it means that a name is not live: not found, unless the
// policy does not believe it, because nobody signed the removal or the last
// state was taken away.
func (c *Catalog) absent(ctx context.Context, view *ocilog.View, name string, removal *entry.Revision) error {
	missing := fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	if c.options.Policy == nil {
		return missing
	}
	j := c.newJudge(view)
	defer j.done()
	var err error
	if removal != nil {
		err = c.verdict(removal, j.report(ctx, removal))
	} else {
		err = j.vanished(ctx, name)
	}
	if err != nil {
		return err
	}
	return missing
}
