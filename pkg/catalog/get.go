package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// GetOptions select which state of an entry Get returns.
type GetOptions struct {
	Version string    // the newest publication with this version since the last removal; "" is the live one
	AsOf    time.Time // the catalog as it was then; zero is now
	// Signers looks, under a policy, for everybody who has signed, so that
	// Signers of the item is complete: that is asked of the registry. Without it,
	// they are those who sufficed.
	Signers bool
}

// Get returns one entry. A name that is not live is an entry.ErrNotFound; one
// that a later format version decides is an entry.ErrLaterFormat; one that the
// policy refuses is a *trust.Error.
func (c *Catalog) Get(ctx context.Context, name string, options GetOptions) (entry.Item, error) {
	if err := entry.CheckName(name); err != nil {
		return entry.Item{}, err
	}
	view, reused, err := c.recent(ctx, name)
	if err != nil {
		return entry.Item{}, err
	}
	item, err := c.get(ctx, view, name, options)
	if reused && errors.Is(err, entry.ErrNotFound) {
		if view, err = c.refresh(ctx, name); err != nil {
			return entry.Item{}, err
		}
		item, err = c.get(ctx, view, name, options)
	}
	if err == nil {
		item.Location = c.location(ctx, &item)
	}
	c.warnOf(view.Warnings())
	return item, err
}

func (c *Catalog) get(ctx context.Context, view *ocilog.View, name string, options GetOptions) (entry.Item, error) {
	if options.Version != "" {
		return c.getVersion(ctx, view, name, options)
	}
	rev, err := view.Head(ctx, name, options.AsOf)
	switch {
	case err != nil:
		return entry.Item{}, err
	case rev == nil || rev.Tag.Op == revision.OpRemove:
		return entry.Item{}, c.absent(ctx, view, name, options.AsOf, rev)
	}
	item, err := c.admit(ctx, view, rev, options)
	if err == nil && options.AsOf.IsZero() {
		applyStatuses(view.Statuses(ctx).ByName, &item)
	}
	return item, err
}

func (c *Catalog) getVersion(ctx context.Context, view *ocilog.View, name string, options GetOptions) (entry.Item, error) {
	history, err := view.History(ctx, name)
	if err == nil {
		err = c.checkHistory(ctx, view, name, options.AsOf)
	}
	if err != nil {
		return entry.Item{}, err
	}
	history = before(history, options.AsOf)
	found := newestOf(revision.Current(history), options.Version)
	if found == nil {
		if len(history) == 0 {
			view.CheckList(ctx)
		}
		err := c.checkRemovals(ctx, history, newestOf(history, options.Version))
		return entry.Item{}, cmp.Or(err, fmt.Errorf("entry %q, version %q: %w", name, options.Version, entry.ErrNotFound))
	}
	item, err := c.admit(ctx, nil, found, options)
	if err == nil && options.AsOf.IsZero() {
		applyStatuses(view.Statuses(ctx).ByName, &item)
	}
	return item, err
}

// newestOf returns the newest publication of a version, or nil.
func newestOf(history []*revision.Revision, version string) (found *revision.Revision) {
	for _, revision := range history {
		if revision.Document != nil && revision.Document.Version == version {
			found = revision
		}
	}
	return found
}

// checkRemovals returns an error if the policy lets none of the removals through
// that came after a publication, if there was one: that of the last, or of one of which
// nobody can tell.
func (c *Catalog) checkRemovals(ctx context.Context, history []*revision.Revision, ended *revision.Revision) (err error) {
	if c.policy() == nil || ended == nil {
		return nil
	}
	var removals []*revision.Revision
	for _, rev := range history[slices.Index(history, ended):] {
		if rev.Tag.Op == revision.OpRemove {
			removals = append(removals, rev)
		}
	}
	e := c.newEvaluator(nil, zeroTime)
	defer e.done(ctx)
	reports := e.past(ctx, [][]*revision.Revision{removals})
	var unknown error
	for _, removal := range removals {
		if err = reports[removal].Err(subject(removal), removal.Digest); err == nil {
			return nil
		}
		if errors.Is(err, entry.ErrUnreachable) {
			unknown = err
		}
	}
	return cmp.Or(unknown, err)
}

// checkHistory returns an error if the policy does not let the end of a name's
// history through: what it ends, or the next publication of a version, may be
// what vanished, or not be anybody's word.
func (c *Catalog) checkHistory(ctx context.Context, view *ocilog.View, name string, asOf time.Time) error {
	head, err := view.Head(ctx, name, asOf)
	if err != nil || c.policy() == nil {
		return err
	}
	e := c.newEvaluator(view, asOf)
	defer e.done(ctx)
	if head != nil && head.Tag.Op == revision.OpRemove {
		return c.refusal(head, e.report(ctx, head))
	}
	return e.newest(ctx, fmt.Sprintf("entry %q", name), name, tagOf(head))
}

// before drops the revisions that came after asOf; a zero asOf keeps all.
func before(history []*revision.Revision, asOf time.Time) []*revision.Revision {
	for i, revision := range history {
		if !asOf.IsZero() && revision.Tag.Millis > asOf.UnixMilli() {
			return history[:i]
		}
	}
	return history
}
