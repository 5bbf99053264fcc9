package entry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sort is an order of items.
type Sort string

// The orders of a list. Equal items are ordered by name.
const (
	SortCreated Sort = "created" // newest first
	SortName    Sort = "name"
	SortSize    Sort = "size"    // largest first
	SortVersion Sort = "version" // 1.9 before 1.10, pre-releases before the release, no version last
)

var sorts = []string{string(SortCreated), string(SortName), string(SortSize), string(SortVersion)}

// PhaseAll stands for every phase in a Query, as none does.
const PhaseAll Phase = "all"

// Query selects entries. The zero Query selects all, newest first; every
// filter that is set must match.
type Query struct {
	Name         string   // a pattern of MatchPattern
	Search       string   // is in the name, the description, a label or a tag, in any case
	Architecture string   // any spelling; matches any platform of the image
	Distro       string   //
	Targets      []string // any of these, in any spelling
	Format       string   // as Outline has it
	Phase        Phase    // in any case
	Tags         []string // all of these
	Labels       map[string]string
	Signed       []Verdict // any of these verdicts
	Since        time.Time // published then or later
	// Versions asks a catalog for every version of a live entry, instead of the one
	// that is live: per version and digest the newest publication since the name's
	// last removal. Select selects from what it is given.
	Versions bool
	Sort     Sort // "" is SortCreated
	Latest   bool // only the newest per distro, architecture and target, or per schedule
	Limit    int  // at most this many; 0 is all
}

// Page is what a query found.
type Page struct {
	Items []Item `json:"items"` // never nil
	Total int    `json:"total"` // how many matched before the limit
}

const (
	maxPattern = 2 * maxName // bytes of Query.Name
	maxSearch  = 256         // bytes of Query.Search
)

// Check reports a query that no list can answer. The error is an ErrInvalid.
func (q Query) Check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case q.Sort != "" && !slices.Contains(sorts, string(q.Sort)):
		return invalid("sort %q: want %s", shorten(string(q.Sort)), oneOf(sorts))
	case q.Phase != "" && !knownPhase(q.Phase):
		return invalid("phase %q: want %s", shorten(string(q.Phase)), oneOf(phaseNames()))
	case strings.Trim(q.Name, nameInside+"*") != "" || len(q.Name) > maxPattern:
		return invalid("name %q: want at most %d of a-z, 0-9, '-' and '.', where * stands for any of them", shorten(q.Name), maxPattern)
	case len(q.Search) > maxSearch || !utf8.ValidString(q.Search) || strings.ContainsFunc(q.Search, unicode.IsControl):
		return invalid("search %q: want one line of at most %d bytes", shorten(q.Search), maxSearch)
	case q.Limit < 0:
		return invalid("limit %d: want 0 or more", q.Limit)
	}
	return nil
}

func knownPhase(phase Phase) bool {
	_, known := ParsePhase(string(phase))
	return known || strings.EqualFold(string(phase), string(PhaseAll))
}

func phaseNames() []string {
	names := []string{string(PhaseAll)}
	for _, phase := range phases {
		names = append(names, string(phase))
	}
	return names
}

// oneOf lists values as messages do.
func oneOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// Select answers the query from items, which it leaves as they are.
func (q Query) Select(items []Item) Page {
	outlines, all := make([]Outline, len(items)), make([]int, len(items))
	for n := range items {
		outlines[n], all[n] = items[n].outline(), n
		if q.Search != "" {
			outlines[n].Text = items[n].text()
		}
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
	m := q.matcher()
	for _, one := range all {
		if m.matches(outline(one)) {
			matched = append(matched, one)
		}
	}
	if q.Latest {
		matched = latest(matched, outline)
	}
	slices.SortStableFunc(matched, func(a, b T) int { return q.Compare(outline(a), outline(b)) })
	return matched
}

// matcher returns the query's filters in the form in which outlines have what
// they are compared with.
func (q Query) matcher() matcher {
	m := matcher{q}
	if m.Architecture != "" {
		m.Architecture = Architecture(q.Architecture)
	}
	m.Targets = make([]string, len(q.Targets))
	for n, target := range q.Targets {
		m.Targets[n] = foldTarget(target)
	}
	phase, _ := ParsePhase(string(q.Phase))
	m.Phase, m.Search = phase, fold(q.Search)
	return m
}

type matcher struct{ Query }

func (m *matcher) matches(o *Outline) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	switch {
	case !is(m.Distro, o.Distro), !is(m.Format, o.Format), !is(string(m.Phase), string(o.Phase)):
		return false
	case m.Architecture != "" && !slices.Contains(o.Architectures, m.Architecture):
		return false
	case len(m.Targets) > 0 && !slices.ContainsFunc(m.Targets, func(target string) bool { return slices.Contains(o.Targets, target) }):
		return false
	case len(m.Signed) > 0 && !slices.Contains(m.Signed, o.Verdict):
		return false
	case !m.Since.IsZero() && o.CreatedAt.Before(m.Since):
		return false
	}
	for _, tag := range m.Tags {
		if !slices.Contains(o.Tags, tag) {
			return false
		}
	}
	for key, value := range m.Labels {
		if have, ok := o.Labels[key]; !ok || have != value {
			return false
		}
	}
	return (m.Name == "" || MatchPattern(m.Name, o.Name)) && (m.Search == "" || strings.Contains(o.Text, m.Search))
}

// Compare is the order of the query's answer. Only creation, size, version, name
// and catalog count.
func (q Query) Compare(a, b *Outline) int {
	order := 0
	switch q.Sort {
	case SortName:
	case SortSize:
		order = cmp.Compare(b.SizeBytes, a.SizeBytes)
	case SortVersion:
		order = cmp.Or(cmp.Compare(min(len(b.Version), 1), min(len(a.Version), 1)), CompareVersions(a.Version, b.Version))
	default:
		order = b.CreatedAt.Compare(a.CreatedAt.Time)
	}
	if order != 0 {
		return order
	}
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Catalog, b.Catalog), b.CreatedAt.Compare(a.CreatedAt.Time))
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
