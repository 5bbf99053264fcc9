package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// ForServer returns the catalog as package server uses it: read into memory, with
// a policy that changes, and behind a gate. Nobody else needs it.
func (c *Catalog) ForServer() serving.Source { return &served{c} }

// served is a catalog as a serving.Source.
type served struct{ catalog *Catalog }

// Read is that of serving.Source.
func (s *served) Read(ctx context.Context) (serving.View, error) {
	view, err := s.catalog.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return s.catalog.serve(ctx, view)
}

// ReadCached is that of serving.Source.
func (s *served) ReadCached(ctx context.Context) (serving.View, error) {
	view, err := s.catalog.log.ReadCached(ctx)
	if err != nil {
		return nil, err
	}
	return s.catalog.serve(ctx, view)
}

// SetPolicy is that of serving.Source.
func (s *served) SetPolicy(policy *trust.Policy) error {
	c := s.catalog
	if policy == nil || c.policy() == nil {
		return fmt.Errorf("%w: catalog %s: a policy can only take the place of another one", entry.ErrInvalid, c.Reference())
	}
	c.inForce.Store(policy)
	return nil
}

// SetGate is that of serving.Source.
func (s *served) SetGate(gate *gate.Gate) { s.catalog.opener.gate.Store(gate) }

// Probe is that of serving.Source.
func (s *served) Probe(ctx context.Context, item *entry.Item) error {
	return health.Registry(s.catalog.opener.open)(ctx, item)
}

// servedView is a serving.View.
type servedView struct {
	catalog  *Catalog
	view     *ocilog.View
	heads    []ocilog.HeadRef // by name
	others   []ocilog.HeadRef // that decide names which are not live
	statuses map[string]*entry.Status
	recorded revision.Tag // of the artifact that the statuses are from
}

// serve returns what a read of the log showed.
func (c *Catalog) serve(ctx context.Context, view *ocilog.View) (serving.View, error) {
	heads, others, err := view.HeadRefs(ctx)
	if err != nil {
		c.warnOf(view.Warnings())
		return nil, err
	}
	statuses := view.Statuses(ctx)
	v := &servedView{catalog: c, view: view, heads: heads, others: others, statuses: statuses.ByName, recorded: statuses.Tag}
	c.warnOf(view.Warnings())
	return v, nil
}

// Live is that of serving.View.
func (v *servedView) Live() []serving.Head {
	live := make([]serving.Head, len(v.heads))
	for i, head := range v.heads {
		live[i] = serving.Head{Name: head.Tag.Name, Revision: head.Digest}
	}
	return live
}

// Items is that of serving.View.
func (v *servedView) Items(ctx context.Context, names map[string]bool) ([]entry.Item, error) {
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

// Empty is that of serving.View.
func (v *servedView) Empty() bool { return len(v.heads)+len(v.others) == 0 }

// Absent is that of serving.View.
func (v *servedView) Absent() bool { return v.view.Empty() }

// Statuses is that of serving.View.
func (v *servedView) Statuses() map[string]*entry.Status { return v.statuses }

// Equal is that of serving.View.
func (v *servedView) Equal(other serving.View) bool {
	o, ok := other.(*servedView)
	return ok && v.Absent() == o.Absent() && slices.Equal(v.heads, o.heads) && v.recorded == o.recorded
}

// List is that of serving.View.
func (v *servedView) List(ctx context.Context, options serving.ListOptions) (items []entry.Item, refused int, err error) {
	options.Query.Limit = 0
	page, err := v.catalog.list(withLookupBudget(ctx), v.view, ListOptions{Query: options.Query, Image: options.Image, AsOf: options.AsOf})
	return page.Items, len(page.Refused), err
}

// Claims is that of serving.View.
func (v *servedView) Claims(ctx context.Context, names map[string]bool) (map[string][]entry.Outline, error) {
	defer v.catalog.log.Release()
	return claimsOf(ctx, v.view, names, wantedImage{})
}

// Get is that of serving.View.
func (v *servedView) Get(ctx context.Context, name, version string, asOf time.Time) (entry.Item, error) {
	if err := entry.CheckName(name); err != nil {
		return entry.Item{}, err
	}
	return v.catalog.get(withLookupBudget(ctx), v.view, name, GetOptions{Version: version, AsOf: asOf})
}

// History is that of serving.View.
func (v *servedView) History(ctx context.Context, name string) ([]entry.Event, error) {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
	}
	return v.catalog.history(withLookupBudget(ctx), v.view, name)
}
