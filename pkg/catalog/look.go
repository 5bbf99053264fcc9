package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
)

// Look is the catalog as one reading of the log showed it. It is for programs
// that keep a catalog in memory, and safe for concurrent use. What it is asked
// about the present costs no request. Under a policy, AsOf, Get and History look up
// no more than some signatures each: the verdict on what is beyond is unknown.
type Look struct {
	catalog  *Catalog
	view     *ocilog.View
	heads    []ocilog.Head // by name
	others   []ocilog.Head // that decide names which are not live
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
	heads, others, err := view.LiveHeads(ctx)
	if err != nil {
		c.warn(view.Warnings()...)
		return nil, err
	}
	statuses := view.Statuses(ctx)
	l := &Look{catalog: c, view: view, heads: heads, others: others, statuses: statuses.ByName, recorded: statuses.Tag}
	c.warn(view.Warnings()...)
	return l, nil
}

// Live returns the live entries, by name.
func (l *Look) Live() []Head {
	live := make([]Head, len(l.heads))
	for i, head := range l.heads {
		live[i] = Head{Name: head.Tag.Name, Revision: head.Digest}
	}
	return live
}

// Items returns what some of the live entries say, by name. A name that is not
// live is left out. What is not in memory comes from the cache on disk or, as
// the last resort, from the registry.
func (l *Look) Items(ctx context.Context, names map[string]bool) ([]entry.Item, error) {
	var wanted []ocilog.Head
	for _, head := range l.heads {
		if names[head.Tag.Name] {
			wanted = append(wanted, head)
		}
	}
	revisions, err := l.view.Load(ctx, wanted)
	if err != nil {
		return nil, err
	}
	items := make([]entry.Item, 0, len(revisions))
	for _, revision := range revisions {
		if revision != nil {
			items = append(items, entry.NewItem(revision))
		}
	}
	return items, nil
}

// Release drops what the catalog holds of entries in memory. It is for whoever
// made something of its own of them: they are decoded anew when they are asked
// for again.
func (l *Look) Release() { l.catalog.log.Release() }

// Empty reports whether the log has no revisions at all: nothing was ever
// published, or all of it was taken away. A catalog whose entries were removed
// is not empty.
func (l *Look) Empty() bool { return len(l.heads)+len(l.others) == 0 }

// Statuses returns the recorded statuses, by name of the entry; read-only.
func (l *Look) Statuses() map[string]*entry.Status { return l.statuses }

// Same reports whether both looks showed the same entries with the same statuses.
func (l *Look) Same(other *Look) bool {
	return slices.Equal(l.heads, other.heads) && l.recorded == other.recorded
}

// AsOf returns the entries as they were then, by name. What no cache holds is
// asked of the registry. Under a policy, a *RefusedError comes beside those that
// it lets through.
func (l *Look) AsOf(ctx context.Context, at time.Time) ([]entry.Item, error) {
	if l.catalog.policy() != nil {
		heads, err := l.view.Heads(ctx, at)
		if err != nil {
			return nil, err
		}
		return l.catalog.screen(sparing(ctx), l.view, at, heads)
	}
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
	return l.catalog.get(sparing(ctx), l.view, name, options)
}

// History is Catalog.History on what this look showed.
func (l *Look) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	return l.catalog.history(sparing(ctx), l.view, name)
}
