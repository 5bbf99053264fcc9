package entry

import "slices"

// Outline is as much of an entry as queries look at: what a program keeps in
// memory that answers queries about many of them.
type Outline struct {
	Name          string
	Catalog       string
	Phase         Phase
	Distro        string
	Schedule      string
	Architectures []string // all of them, in the order of the image's index
	Targets       []string
	Tags          []string
	Labels        map[string]string
	Verdict       Verdict
	CreatedAt     Time
	SizeBytes     int64
}

// Outline returns the item's outline. Its tags and labels are the item's:
// read-only.
func (i *Item) Outline() Outline {
	o, _ := i.outline(nil)
	return o
}

// outline takes the lists that it makes from room, and returns what is left.
func (i *Item) outline(room []string) (Outline, []string) {
	room = i.appendArchitectures(room)
	architectures := room
	room = room[len(room):]
	for _, target := range i.Targets {
		room = append(room, target.Name)
	}
	return Outline{
		Name: i.Name, Catalog: i.Catalog, Phase: i.Phase, Distro: i.Distro, Schedule: i.ScheduleName,
		Architectures: slices.Clip(architectures), Targets: slices.Clip(room), Tags: i.Tags, Labels: i.Labels, Verdict: i.Verdict,
		CreatedAt: i.CreatedAt, SizeBytes: i.SizeBytes,
	}, room[len(room):]
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
	size := 0
	for n := range items {
		size += len(items[n].Targets) + len(items[n].PlatformVariants) + 1
	}
	room := make([]string, 0, size) // one piece, where thousands would be garbage
	for n := range items {
		all[n].Item = &items[n]
		all[n].outline, room = items[n].outline(room)
		refs[n] = &all[n]
	}
	return refs
}

// Outlined returns the item's outline.
func (o *OutlinedItem) Outlined() *Outline { return &o.outline }
