package catalog

import (
	"context"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// View is the catalog as one reading of the log showed it. It is for programs
// that keep a catalog in memory, and safe for concurrent use. What it is asked
// about the present costs no request. Under a policy, AsOf, Get and History look up
// no more than some signatures each: the verdict on what is beyond is unknown.
type View struct {
	catalog  *Catalog
	view     *ocilog.View
	heads    []ocilog.HeadRef // by name
	others   []ocilog.HeadRef // that decide names which are not live
	statuses map[string]*entry.Status
	recorded revision.Tag // of the artifact that the statuses are from
}

// Read asks the registry for the state of the catalog.
func (c *Catalog) Read(ctx context.Context) (*View, error) {
	view, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return c.look(ctx, view)
}

// ReadCached returns the catalog as the cache on disk has it, without asking the
// registry for anything that is cached. A catalog that is not in the cache is
// an entry.ErrNotFound.
func (c *Catalog) ReadCached(ctx context.Context) (*View, error) {
	view, err := c.log.ReadCached(ctx)
	if err != nil {
		return nil, err
	}
	return c.look(ctx, view)
}

func (c *Catalog) look(ctx context.Context, view *ocilog.View) (*View, error) {
	heads, others, err := view.HeadRefs(ctx)
	if err != nil {
		c.warnOf(view.Warnings())
		return nil, err
	}
	statuses := view.Statuses(ctx)
	v := &View{catalog: c, view: view, heads: heads, others: others, statuses: statuses.ByName, recorded: statuses.Tag}
	c.warnOf(view.Warnings())
	return v, nil
}

// Live returns the live entries, by name.
func (v *View) Live() []Head {
	live := make([]Head, len(v.heads))
	for i, head := range v.heads {
		live[i] = Head{Name: head.Tag.Name, Revision: head.Digest}
	}
	return live
}

// Items returns what some of the live entries say, by name. A name that is not
// live is left out. What is not in memory comes from the cache on disk or, as
// the last resort, from the registry.
func (v *View) Items(ctx context.Context, names map[string]bool) ([]entry.Item, error) {
	var wanted []ocilog.HeadRef
	for _, head := range v.heads {
		if names[head.Tag.Name] {
			wanted = append(wanted, head)
		}
	}
	defer v.catalog.log.Release()
	revisions, err := v.view.Revisions(ctx, wanted)
	if err != nil {
		return nil, err
	}
	items := make([]entry.Item, 0, len(revisions))
	for _, revision := range revisions {
		if revision != nil {
			items = append(items, revision.Item())
		}
	}
	return items, nil
}

// Empty reports whether the log has no revisions at all: nothing was ever
// published, or all of it was taken away. A catalog whose entries were removed
// is not empty.
func (v *View) Empty() bool { return len(v.heads)+len(v.others) == 0 }

// Statuses returns the recorded statuses, by name of the entry; read-only.
func (v *View) Statuses() map[string]*entry.Status { return v.statuses }

// Equal reports whether both views showed the same entries with the same statuses.
func (v *View) Equal(other *View) bool {
	return slices.Equal(v.heads, other.heads) && v.recorded == other.recorded
}

// List is Catalog.List on what this view showed. What no cache holds of the past
// is asked of the registry.
func (v *View) List(ctx context.Context, options ListOptions) (Page, error) {
	if err := options.Query.Check(); err != nil {
		return Page{}, err
	}
	return v.catalog.list(sparing(ctx), v.view, options)
}

// Get is Catalog.Get on what this view showed.
func (v *View) Get(ctx context.Context, name string, options GetOptions) (entry.Item, error) {
	if err := entry.CheckName(name); err != nil {
		return entry.Item{}, err
	}
	return v.catalog.get(sparing(ctx), v.view, name, options)
}

// History is Catalog.History on what this view showed.
func (v *View) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	return v.catalog.history(sparing(ctx), v.view, name)
}
