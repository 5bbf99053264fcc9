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
	Target       string // any spelling
	Phase        Phase  // in any case
	Tags         []string
	Labels       map[string]string
	Signed       []Verdict `json:",omitempty"` // any of these verdicts
	Sort         Sort      // "" is SortCreated
	Latest       bool      // only the newest per distro, architecture and target, or per schedule
	Limit        int       // at most this many; 0 is all
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
	outlines, all := make([]Outline, len(items)), make([]int, len(items))
	for n := range items {
		outlines[n], all[n] = items[n].Outline(), n
	}
	matched := Pick(q, all, func(n int) *Outline { return &outlines[n] })
	page := Page{Items: make([]Item, 0, len(matched)), Total: len(matched)}
	if q.Limit > 0 && len(matched) > q.Limit {
		matched = matched[:q.Limit]
	}
	for _, n := range matched {
		page.Items = append(page.Items, items[n])
	}
	return page
}

// Pick returns those of all whose outline matches the query, in its order,
// whatever its limit.
func Pick[T any](q Query, all []T, outline func(T) *Outline) []T {
	var matched []T
	for _, one := range all {
		if q.matches(outline(one)) {
			matched = append(matched, one)
		}
	}
	if q.Latest {
		matched = latest(matched, outline)
	}
	slices.SortStableFunc(matched, func(a, b T) int { return q.Compare(outline(a), outline(b)) })
	return matched
}

func (q Query) matches(o *Outline) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	has := func(want string, have []string) bool { return want == "" || slices.Contains(have, want) }
	if !is(q.Distro, o.Distro) || !has(foldTarget(q.Target), o.Targets) || (q.Phase != "" && !strings.EqualFold(string(q.Phase), string(o.Phase))) {
		return false
	}
	if q.Architecture != "" && !has(Architecture(q.Architecture), o.Architectures) {
		return false
	}
	if len(q.Signed) > 0 && !slices.Contains(q.Signed, o.Verdict) {
		return false
	}
	for _, tag := range q.Tags {
		if !slices.Contains(o.Tags, tag) {
			return false
		}
	}
	for key, value := range q.Labels {
		if have, ok := o.Labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// Compare is the order of the query's answer. Only creation, size, name and
// catalog count.
func (q Query) Compare(a, b *Outline) int {
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

// latest keeps the newest of each group: of a schedule where there is one, else
// of the same distro, architectures and targets.
func latest[T any](all []T, outline func(T) *Outline) []T {
	type group struct{ catalog, schedule, distro, architecture, target string }
	newest := map[group]T{}
	for _, one := range all {
		o := outline(one)
		key := group{catalog: o.Catalog, schedule: o.Schedule}
		if key.schedule == "" {
			key.distro, key.architecture, key.target = o.Distro, strings.Join(o.Architectures, ","), strings.Join(o.Targets, ",")
		}
		if best, ok := newest[key]; !ok || (Query{}).Compare(o, outline(best)) < 0 {
			newest[key] = one
		}
	}
	return slices.Collect(maps.Values(newest))
}
