package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// ListOptions select the entries that List returns.
type ListOptions struct {
	Query entry.Query
	AsOf  time.Time // the catalog as it was then; zero is now
	// Image selects the entries of one image, besides what the query does: those that
	// have its digest as their image, a platform or an artifact; or, given by tag, those
	// that were published from this very reference, whatever the tag names now. It is
	// REPOSITORY[:TAG] or [REPOSITORY]@DIGEST; "" is any image.
	Image string
	// Facets counts the values that the matches have, whatever the limit.
	Facets bool
}

// Page are the entries that List found.
type Page struct {
	entry.Page // those that match, of the entries that the policy lets through
	// Facets are there if they were asked for.
	Facets entry.Facets `json:"facets,omitempty"`
	// Refused are the names that are not in the list because the policy refuses
	// what decides them, or one of their versions, each with why; of those of whom
	// it is known that the query does not match them, none is here. A list without a
	// policy refuses nothing.
	Refused []Head `json:"-"`
	// Absent says that there is no catalog, which is another thing than an empty one.
	Absent bool `json:"-"`
}

// List returns the live entries that match. The error is of the kinds named in
// the package comment, and with an error there is no list at all. That the policy
// refuses some names is no error: Page.Refused has them.
func (c *Catalog) List(ctx context.Context, options ListOptions) (Page, error) {
	if err := options.Query.Check(); err != nil {
		return Page{}, err
	}
	if _, err := wantImage(options.Image); err != nil {
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
	image, err := wantImage(options.Image)
	if err != nil {
		return Page{}, err
	}
	heads, err := view.Heads(ctx, options.AsOf)
	if err != nil {
		return Page{}, err
	}
	var items []entry.Item
	switch {
	case c.policy() != nil:
		items, page.Refused, err = c.screened(ctx, view, heads, options, image)
	case options.Query.Versions:
		items, err = c.versions(ctx, view, heads, options)
	default:
		items = itemsOf(heads)
	}
	if err != nil {
		return Page{}, err
	}
	items = slices.DeleteFunc(items, func(item entry.Item) bool { return !image.has(&item) })
	if options.AsOf.IsZero() {
		statuses := view.Statuses(ctx).ByName
		for i := range items {
			applyStatuses(statuses, &items[i])
		}
	}
	page.Absent = view.Empty()
	if !options.Facets {
		page.Page = options.Query.Select(items)
		return page, nil
	}
	query := options.Query
	query.Limit = 0
	page.Page = query.Select(items)
	page.Facets = entry.CountFacets(page.Items)
	if limit := options.Query.Limit; limit > 0 && limit < page.Total {
		page.Items = page.Items[:limit]
	}
	return page, nil
}

// itemsOf returns what those revisions say that can be read as publications.
func itemsOf(revisions []*revision.Revision) (items []entry.Item) {
	for _, revision := range revisions {
		if revision.Document != nil {
			items = append(items, revision.Item())
		}
	}
	return items
}
