package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/ocilog"
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
// that a later format version decides is an entry.ErrInvalid; one that the
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
	c.warn(view.Warnings()...)
	return item, err
}

func (c *Catalog) get(ctx context.Context, view *ocilog.View, name string, options GetOptions) (entry.Item, error) {
	if options.Version != "" {
		return c.getVersion(ctx, view, name, options)
	}
	revision, err := view.Head(ctx, name, options.AsOf)
	switch {
	case err != nil:
		return entry.Item{}, err
	case revision == nil || revision.Tag.Op == entry.OpRemove:
		return entry.Item{}, c.absent(ctx, view, name, options.AsOf, revision)
	}
	item, err := c.admit(ctx, view, revision, options)
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
	var found *entry.Revision
	for _, revision := range entry.Current(before(history, options.AsOf)) {
		if revision.Document != nil && revision.Document.Version == options.Version {
			found = revision
		}
	}
	if found == nil {
		return entry.Item{}, fmt.Errorf("entry %q, version %q: %w", name, options.Version, entry.ErrNotFound)
	}
	item, err := c.admit(ctx, nil, found, options)
	if err == nil && options.AsOf.IsZero() {
		applyStatuses(view.Statuses(ctx).ByName, &item)
	}
	return item, err
}

// checkHistory returns an error if the policy does not let the end of a name's
// history through: what it ends, or the next publication of a version, may be
// what is gone, or not be anybody's word.
func (c *Catalog) checkHistory(ctx context.Context, view *ocilog.View, name string, asOf time.Time) error {
	head, err := view.Head(ctx, name, asOf)
	if err != nil || c.policy() == nil {
		return err
	}
	e := c.newEvaluator(view, asOf)
	defer e.done(ctx)
	if head != nil && head.Tag.Op == entry.OpRemove {
		return c.refusal(head, e.report(ctx, head))
	}
	return e.newest(ctx, fmt.Sprintf("entry %q", name), name, tagOf(head))
}

// before drops the revisions that came after asOf; a zero asOf keeps all.
func before(history []*entry.Revision, asOf time.Time) []*entry.Revision {
	for i, revision := range history {
		if !asOf.IsZero() && revision.Tag.Millis > asOf.UnixMilli() {
			return history[:i]
		}
	}
	return history
}
