package catalog

import (
	"context"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

// applyStatuses shows in a live item what somebody recorded of it, if any did.
func applyStatuses(statuses map[string]*entry.Status, item *entry.Item) {
	if status := statuses[item.Name]; status != nil {
		health.Apply(item, status)
	}
}

// SaveStatuses records the statuses of all entries beside the log, for readers
// without a server (SPEC section 17). Merge is given what is recorded now and
// returns what is to be; it returns nil where there is nothing to say. Writers
// at the same instant do not harm each other: the later one counts, whole.
func (c *Catalog) SaveStatuses(ctx context.Context, merge func(recorded map[string]*entry.Status) []*entry.Status) error {
	view, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	statuses := merge(view.Statuses(ctx).ByName)
	c.warnOf(view.Warnings())
	if len(statuses) == 0 {
		return nil
	}
	_, err = c.log.WriteStatuses(ctx, view, statuses)
	return err
}
