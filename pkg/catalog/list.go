package catalog

import (
	"context"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// ListOptions select the entries that List returns.
type ListOptions struct {
	Query entry.Query
	AsOf  time.Time // the catalog as it was then; zero is now
}

// List returns the live entries that match. The error is of the kinds named in
// the package comment; with an error there is no list at all, but with a
// *RefusedError there is: of what the policy lets through.
func (c *Catalog) List(ctx context.Context, options ListOptions) (entry.Page, error) {
	if err := options.Query.Check(); err != nil {
		return entry.Page{}, err
	}
	view, err := c.refresh(ctx)
	if err != nil {
		return entry.Page{}, err
	}
	heads, err := view.Heads(ctx, options.AsOf)
	if err != nil {
		c.warn(view.Warnings()...)
		return entry.Page{}, err
	}
	var items []entry.Item
	if c.policy() != nil {
		items, err = c.screen(ctx, view, options.AsOf, heads)
	} else {
		for _, head := range heads {
			if head.Document != nil {
				items = append(items, head.Item())
			}
		}
	}
	if options.AsOf.IsZero() {
		statuses := view.Statuses(ctx).ByName
		for i := range items {
			applyStatuses(statuses, &items[i])
		}
	}
	c.warn(view.Warnings()...)
	return options.Query.Select(items), err
}
