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
// the package comment; with an error there is no list at all.
func (c *Catalog) List(ctx context.Context, options ListOptions) (entry.Page, error) {
	if err := options.Query.Check(); err != nil {
		return entry.Page{}, err
	}
	view, err := c.refresh(ctx)
	if err != nil {
		return entry.Page{}, err
	}
	live, err := view.Live(ctx, options.AsOf)
	c.warn(view.Warnings()...)
	if err != nil {
		return entry.Page{}, err
	}
	items := make([]entry.Item, len(live))
	for i, revision := range live {
		items[i] = entry.NewItem(revision)
	}
	return options.Query.Select(items), nil
}
