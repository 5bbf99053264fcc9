package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// History returns every revision of an entry, or of all entries for "", oldest
// first, with the verdict of the policy where there is one; history refuses
// nothing. A name without any is an entry.ErrNotFound.
func (c *Catalog) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	var names []string
	if name != "" && c.policy() == nil { // a snapshot carries the signatures that a policy wants of each revision
		names = []string{name}
	}
	view, reused, err := c.recent(ctx, names...)
	if err != nil {
		return nil, err
	}
	events, err := c.history(ctx, view, name)
	if reused && (errors.Is(err, entry.ErrNotFound) || err == nil && len(events) == 0) {
		if view, err = c.refresh(ctx, names...); err != nil {
			return nil, err
		}
		events, err = c.history(ctx, view, name)
	}
	c.warnOf(view.Warnings())
	return events, err
}

func (c *Catalog) history(ctx context.Context, view *ocilog.View, name string) ([]entry.Event, error) {
	revisions, err := view.History(ctx, name)
	if err != nil {
		return nil, err
	}
	if name != "" && len(revisions) == 0 {
		view.CheckList(ctx)
		return nil, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	}
	if err := c.warnVanished(ctx, view, name); err != nil {
		return nil, err
	}
	events := make([]entry.Event, len(revisions))
	for i, revision := range revisions {
		events[i] = revision.Event()
	}
	if c.policy() != nil {
		e := c.newEvaluator(nil, zeroTime)
		defer e.done(ctx)
		reports := e.past(ctx, slices.Collect(maps.Values(byName(revisions))))
		for i, rev := range revisions {
			events[i].Verdict = reports[rev].Verdict
		}
	}
	return events, nil
}

// warnVanished tells of revisions that a history lacks, because the registry no
// longer has them.
func (c *Catalog) warnVanished(ctx context.Context, view *ocilog.View, name string) error {
	head, err := view.Head(ctx, name, zeroTime) // without a policy, the view tells by itself
	if err != nil || c.policy() == nil || name == "" {
		return err
	}
	for _, vanished := range view.Vanished(ctx, name, tagOf(head), zeroTime) {
		c.warn(WarnLog, name, newLostError(name, vanished.Tag))
	}
	return nil
}

// byName sorts revisions by their names, and leaves those of each in their order.
func byName(revisions []*revision.Revision) map[string][]*revision.Revision {
	of := map[string][]*revision.Revision{}
	for _, rev := range revisions {
		of[rev.Tag.Name] = append(of[rev.Tag.Name], rev)
	}
	return of
}
