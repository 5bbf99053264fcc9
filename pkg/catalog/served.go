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
	"github.com/oci-catalog/caib/pkg/registry"
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

	locations []Location // of the images: mirrors that this machine has besides are its own
}

// serve returns what a read of the log showed.
func (c *Catalog) serve(ctx context.Context, view *ocilog.View) (serving.View, error) {
	heads, others, err := view.HeadRefs(ctx)
	if err != nil {
		c.warnOf(view.Warnings())
		return nil, err
	}
	statuses := view.Statuses(ctx)
	v := &servedView{catalog: c, view: view, heads: heads, others: others, statuses: statuses.ByName, recorded: statuses.Tag, locations: c.locationsOf(ctx, view)}
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

// Decisions is that of serving.View.
func (v *servedView) Decisions() []serving.Decision {
	all := make([]serving.Decision, 0, len(v.heads)+len(v.others))
	for _, heads := range [][]ocilog.HeadRef{v.heads, v.others} {
		for _, head := range heads {
			all = append(all, serving.Decision{Tag: head.Tag, Revision: head.Digest})
		}
	}
	return all
}

// Events is that of serving.View.
func (v *servedView) Events(ctx context.Context, names map[string]bool) ([]entry.Event, error) {
	revisions, err := v.revisionsOf(ctx, names, v.heads, v.others)
	if err != nil {
		return nil, err
	}
	events := make([]entry.Event, len(revisions))
	for i, revision := range revisions {
		events[i] = revision.Event()
	}
	return events, nil
}

// Items is that of serving.View.
func (v *servedView) Items(ctx context.Context, names map[string]bool) ([]entry.Item, error) {
	revisions, err := v.revisionsOf(ctx, names, v.heads)
	if err != nil {
		return nil, err
	}
	items := make([]entry.Item, len(revisions))
	for i, revision := range revisions {
		items[i] = revision.Item()
	}
	v.locate(items...)
	return items, nil
}

// revisionsOf returns what decides some names, without what is no longer there.
func (v *servedView) revisionsOf(ctx context.Context, names map[string]bool, all ...[]ocilog.HeadRef) ([]*revision.Revision, error) {
	var wanted []ocilog.HeadRef
	for _, heads := range all {
		for _, head := range heads {
			if names[head.Tag.Name] {
				wanted = append(wanted, head)
			}
		}
	}
	defer v.catalog.log.Release()
	revisions, err := v.view.Revisions(ctx, wanted)
	return slices.DeleteFunc(revisions, func(r *revision.Revision) bool { return r == nil }), err
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
	return ok && v.Absent() == o.Absent() && slices.Equal(v.heads, o.heads) && v.recorded == o.recorded && v.SamePlaces(other)
}

// SamePlaces is that of serving.View.
func (v *servedView) SamePlaces(other serving.View) bool {
	o, ok := other.(*servedView)
	return ok && slices.Equal(v.locations, o.locations)
}

// locate says of items where their images are asked for first, if not where they were
// published.
func (v *servedView) locate(items ...entry.Item) {
	if len(v.locations) == 0 {
		return
	}
	for n := range items {
		ref, err := registry.ParseReference(items[n].RegistryURL)
		if err != nil {
			continue
		}
		if copies := v.catalog.copiesIn(v.locations, ref); len(copies) > 0 && copies[0].Layout == "" && copies[0].Normal().Base() != ref.Normal().Base() {
			copies[0].Digest = items[n].Digest
			items[n].Location = copies[0].String()
		}
	}
}

// List is that of serving.View.
func (v *servedView) List(ctx context.Context, options serving.ListOptions) (items []entry.Item, refused int, err error) {
	options.Query.Limit = 0
	page, err := v.catalog.list(withLookupBudget(ctx), v.view, ListOptions{Query: options.Query, Image: options.Image, AsOf: options.AsOf})
	v.locate(page.Items...)
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
	item, err := v.catalog.get(withLookupBudget(ctx), v.view, name, GetOptions{Version: version, AsOf: asOf})
	items := []entry.Item{item}
	v.locate(items...)
	return items[0], err
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
