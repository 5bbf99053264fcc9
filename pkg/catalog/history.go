package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// History returns every revision of an entry, or of all entries for "", oldest
// first. A name without any is an entry.ErrNotFound.
func (c *Catalog) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	view, reused, err := c.recent(ctx)
	if err != nil {
		return nil, err
	}
	revisions, err := view.History(ctx, name)
	if err == nil && reused && len(revisions) == 0 {
		if view, err = c.refresh(ctx); err != nil {
			return nil, err
		}
		revisions, err = view.History(ctx, name)
	}
	c.warn(view.Warnings()...)
	if err != nil {
		return nil, err
	}
	if name != "" && len(revisions) == 0 {
		return nil, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	}
	events := make([]entry.Event, len(revisions))
	for i, revision := range revisions {
		events[i] = entry.NewEvent(revision)
	}
	return events, nil
}
