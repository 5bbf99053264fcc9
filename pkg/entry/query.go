package entry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Sort is an order of items.
type Sort string

// The orders of a list. Equal items are ordered by name.
const (
	SortCreated Sort = "created" // newest first
	SortName    Sort = "name"
	SortSize    Sort = "size" // largest first
)

// Query selects entries. The zero Query selects all, newest first; every
// filter that is set must match.
type Query struct {
	Architecture string // any spelling; matches any platform of the image
	Distro       string
	Target       string
	Phase        string // in any case
	Tags         []string
	Labels       map[string]string
	Sort         Sort // "" is SortCreated
	Latest       bool // only the newest per distro, architecture and target, or per schedule
	Limit        int  // at most this many; 0 is all
}

// Page is what a query found.
type Page struct {
	Items []Item `json:"items"` // never nil
	Total int    `json:"total"` // how many matched before the limit
}

// Check reports a query that no list can answer. The error is an ErrInvalid.
func (q Query) Check() error {
	switch q.Sort {
	case "", SortCreated, SortName, SortSize:
	default:
		return fmt.Errorf("%w: sort %q: want created, name or size", ErrInvalid, shorten(string(q.Sort)))
	}
	if q.Limit < 0 {
		return fmt.Errorf("%w: limit %d: want 0 or more", ErrInvalid, q.Limit)
	}
	return nil
}

// Select answers the query from items, which it leaves as they are.
func (q Query) Select(items []Item) Page {
	refs := make([]*Item, len(items))
	for i := range items {
		refs[i] = &items[i]
	}
	matched := q.Pick(refs)
	page := Page{Items: make([]Item, 0, len(matched)), Total: len(matched)}
	if q.Limit > 0 && len(matched) > q.Limit {
		matched = matched[:q.Limit]
	}
	for _, item := range matched {
		page.Items = append(page.Items, *item)
	}
	return page
}

// Pick returns all items that match, in order, whatever the limit.
func (q Query) Pick(items []*Item) []*Item {
	var matched []*Item
	for _, item := range items {
		if q.matches(item) {
			matched = append(matched, item)
		}
	}
	if q.Latest {
		matched = latest(matched)
	}
	slices.SortStableFunc(matched, q.Compare)
	return matched
}

func (q Query) matches(item *Item) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	if !is(q.Distro, item.Distro) || (q.Phase != "" && !strings.EqualFold(q.Phase, item.Phase)) {
		return false
	}
	if q.Architecture != "" && !slices.Contains(item.Architectures(), Architecture(q.Architecture)) {
		return false
	}
	if q.Target != "" && !slices.ContainsFunc(item.Targets, func(t Target) bool { return t.Name == q.Target }) {
		return false
	}
	for _, tag := range q.Tags {
		if !slices.Contains(item.Tags, tag) {
			return false
		}
	}
	for key, value := range q.Labels {
		if have, ok := item.Labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// Compare is the order of the query's answer. Only creation, size, name and
// catalog of an item count.
func (q Query) Compare(a, b *Item) int {
	order := 0
	switch q.Sort {
	case SortName:
	case SortSize:
		order = cmp.Compare(b.SizeBytes, a.SizeBytes)
	default:
		order = b.CreatedAt.Compare(a.CreatedAt.Time)
	}
	return cmp.Or(order, strings.Compare(a.Name, b.Name), strings.Compare(a.Catalog, b.Catalog))
}

// latest keeps the newest item of each group: of a schedule where there is
// one, else of the same distro, architectures and targets.
func latest(items []*Item) []*Item {
	type group struct{ catalog, schedule, distro, architecture, target string }
	newest := map[group]*Item{}
	for _, item := range items {
		key := group{catalog: item.Catalog, schedule: item.ScheduleName}
		if key.schedule == "" {
			key.distro, key.target = item.Distro, item.TargetNames()
			key.architecture = strings.Join(item.Architectures(), ",")
		}
		if best := newest[key]; best == nil || (Query{}).Compare(item, best) < 0 {
			newest[key] = item
		}
	}
	return slices.Collect(maps.Values(newest))
}
