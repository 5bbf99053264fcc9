package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// RemoveOptions say why an entry goes.
type RemoveOptions struct {
	Reason string
}

// Remove ends an entry by appending a removal; its revisions stay readable in
// the history. A name that is not live is an entry.ErrNotFound. The warnings
// are what went less than well without making the removal less valid.
func (c *Catalog) Remove(ctx context.Context, name string, options RemoveOptions) (event entry.Event, warnings []string, err error) {
	if err := entry.CheckName(name); err != nil {
		return event, nil, err
	}
	view, err := c.refresh(ctx, name)
	if err != nil {
		return event, nil, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	c.warn(view.Warnings()...)
	if err != nil {
		return event, nil, err
	}
	if head == nil || head.Tag.Op == entry.OpRemove {
		return event, nil, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	}
	packed, err := entry.PackRemoval(&entry.Removal{
		Name: name, Reason: options.Reason, Revision: head.Digest,
		RemovedAt: entry.NextTime(c.options.Now(), name, view.Tags()), RemovedBy: c.options.Author,
	})
	if err != nil {
		return event, nil, err
	}
	revision, err := entry.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		return event, nil, err
	}
	if err := c.log.Append(ctx, packed); err != nil {
		return event, nil, fmt.Errorf("remove %s: %w", name, err)
	}
	c.forget()
	if _, err := c.log.Compact(ctx, view); err != nil {
		warnings = append(warnings, fmt.Sprintf("the entry is removed, but no snapshot was written: %v", err))
	}
	return entry.NewEvent(revision), warnings, nil
}
