package entry

// Outline is as much of an entry as queries look at: what a program keeps in
// memory that answers queries about many of them.
type Outline struct {
	Name          string
	Catalog       string
	Phase         string
	Distro        string
	Schedule      string
	Architectures []string // all of them, in the order of the image's index
	Targets       []string
	Tags          []string
	Labels        map[string]string
	CreatedAt     Time
	SizeBytes     int64
}

// Outline returns the item's outline. Its tags and labels are the item's:
// read-only.
func (i *Item) Outline() Outline {
	targets := make([]string, len(i.Targets))
	for n, target := range i.Targets {
		targets[n] = target.Name
	}
	return Outline{
		Name: i.Name, Catalog: i.Catalog, Phase: i.Phase, Distro: i.Distro, Schedule: i.ScheduleName,
		Architectures: i.Architectures(), Targets: targets, Tags: i.Tags, Labels: i.Labels,
		CreatedAt: i.CreatedAt, SizeBytes: i.SizeBytes,
	}
}

// Outlined is what queries select from.
type Outlined interface {
	Outlined() *Outline // the same one every time
}

// OutlinedItem is an item with its outline. It implements Outlined.
type OutlinedItem struct {
	Item    *Item
	outline Outline
}

// OutlineItems returns items, which it refers to, with their outlines.
func OutlineItems(items []Item) []*OutlinedItem {
	all := make([]OutlinedItem, len(items))
	refs := make([]*OutlinedItem, len(items))
	for n := range items {
		all[n] = OutlinedItem{Item: &items[n], outline: items[n].Outline()}
		refs[n] = &all[n]
	}
	return refs
}

// Outlined returns the item's outline.
func (o *OutlinedItem) Outlined() *Outline { return &o.outline }
