package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/ocilog"
)

// Look is the catalog as one reading of the log showed it. It is for programs
// that keep a catalog in memory, and safe for concurrent use. What it is asked
// about the present costs no request.
type Look struct {
	catalog  *Catalog
	view     *ocilog.View
	live     []*entry.Revision
	empty    bool
	statuses map[string]*entry.Status
	recorded entry.Tag // of the artifact that the statuses are from
}

// Look asks the registry for the state of the catalog.
func (c *Catalog) Look(ctx context.Context) (*Look, error) {
	view, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return c.look(ctx, view)
}

// Recall returns the catalog as the cache on disk has it, without asking the
// registry for anything that is cached. A catalog that is not in the cache is
// an entry.ErrNotFound.
func (c *Catalog) Recall(ctx context.Context) (*Look, error) {
	view, err := c.log.Recall(ctx)
	if err != nil {
		return nil, err
	}
	return c.look(ctx, view)
}

func (c *Catalog) look(ctx context.Context, view *ocilog.View) (*Look, error) {
	live, removed, err := view.Heads(ctx, zeroTime)
	if err != nil {
		c.warn(view.Warnings()...)
		return nil, err
	}
	statuses := view.Statuses(ctx)
	l := &Look{catalog: c, view: view, live: live, empty: len(live)+len(removed) == 0, statuses: statuses.ByName, recorded: statuses.Tag}
	c.warn(view.Warnings()...)
	return l, nil
}

// Live returns the live publications, by name; read-only.
func (l *Look) Live() []*entry.Revision { return l.live }

// Empty tells whether the log has no revisions at all: nothing was ever
// published, or all of it was taken away. A catalog whose entries were removed
// is not empty.
func (l *Look) Empty() bool { return l.empty }

// Statuses returns the recorded statuses, by name of the entry; read-only.
func (l *Look) Statuses() map[string]*entry.Status { return l.statuses }

// Same tells whether both looks showed the same entries with the same statuses.
func (l *Look) Same(other *Look) bool {
	return slices.Equal(l.live, other.live) && l.recorded == other.recorded
}

// AsOf returns the entries as they were then, by name. What no cache holds is
// asked of the registry.
func (l *Look) AsOf(ctx context.Context, at time.Time) ([]entry.Item, error) {
	live, err := l.view.Live(ctx, at)
	if err != nil {
		return nil, err
	}
	items := make([]entry.Item, len(live))
	for i, revision := range live {
		items[i] = entry.NewItem(revision)
	}
	return items, nil
}

// Get is Catalog.Get on what this look showed.
func (l *Look) Get(ctx context.Context, name string, options GetOptions) (entry.Item, error) {
	if err := entry.CheckName(name); err != nil {
		return entry.Item{}, err
	}
	return l.catalog.get(ctx, l.view, name, options)
}

// History is Catalog.History on what this look showed.
func (l *Look) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	return l.catalog.history(ctx, l.view, name)
}
