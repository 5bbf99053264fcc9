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

// SaveStatuses is that of serving.Source.
func (s *served) SaveStatuses(ctx context.Context, merge func(recorded map[string]*entry.Status) []*entry.Status) error {
	c := s.catalog
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
