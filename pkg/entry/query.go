package entry

import (
	"cmp"
	"fmt"
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
	matched := make([]Item, 0, len(items))
	for i := range items {
		if q.matches(&items[i]) {
			matched = append(matched, items[i])
		}
	}
	if q.Latest {
		matched = latest(matched)
	}
	slices.SortStableFunc(matched, q.compare)
	page := Page{Items: matched, Total: len(matched)}
	if q.Limit > 0 && len(matched) > q.Limit {
		page.Items = matched[:q.Limit]
	}
	return page
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

func (q Query) compare(a, b Item) int {
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
func latest(items []Item) []Item {
	type group struct{ catalog, schedule, distro, architecture, target string }
	newest := map[group]int{}
	for i := range items {
		item := &items[i]
		key := group{catalog: item.Catalog, schedule: item.ScheduleName}
		if key.schedule == "" {
			key.distro, key.target = item.Distro, item.TargetNames()
			key.architecture = strings.Join(item.Architectures(), ",")
		}
		if best, ok := newest[key]; !ok || (Query{}).compare(items[i], items[best]) < 0 {
			newest[key] = i
		}
	}
	kept := make([]Item, 0, len(newest))
	for _, i := range newest {
		kept = append(kept, items[i])
	}
	return kept
}
