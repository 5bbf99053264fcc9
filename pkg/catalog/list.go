package catalog

import (
	"context"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
)

// ListOptions select the entries that List returns.
type ListOptions struct {
	Query entry.Query
	AsOf  time.Time // the catalog as it was then; zero is now
}

// Page are the entries that List found.
type Page struct {
	entry.Page // those that match, of the entries that the policy lets through
	// Refused are the names that are not in the list because the policy refuses
	// what decides them, each with why: whether they match is not asked. A list
	// without a policy refuses nothing.
	Refused []Head `json:"-"`
}

// List returns the live entries that match. The error is of the kinds named in
// the package comment, and with an error there is no list at all. That the policy
// refuses some names is no error: Page.Refused has them.
func (c *Catalog) List(ctx context.Context, options ListOptions) (Page, error) {
	if err := options.Query.Check(); err != nil {
		return Page{}, err
	}
	view, err := c.refresh(ctx)
	if err != nil {
		return Page{}, err
	}
	page, err := c.list(ctx, view, options)
	c.warnOf(view.Warnings())
	return page, err
}

func (c *Catalog) list(ctx context.Context, view *ocilog.View, options ListOptions) (page Page, err error) {
	heads, err := view.Heads(ctx, options.AsOf)
	if err != nil {
		return Page{}, err
	}
	var items []entry.Item
	if c.policy() != nil {
		items, page.Refused = c.screen(ctx, view, options.AsOf, heads)
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
	page.Page = options.Query.Select(items)
	return page, nil
}
