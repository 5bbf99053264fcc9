package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A list that finds nothing says which of its filters nothing matches, and what
// could be asked for instead.

// maxValues bounds the values that a message names.
const maxValues = 20

// inventory is what there is to be found, whatever the filters.
type inventory struct {
	count  int
	values map[string]map[string]int // by facet; besides those of entry.Facets, tag and label
	items  []entry.Item
}

// everything returns what the catalogs hold. One that cannot be read, or only in
// part, was told of when it was listed.
func (o *listOptions) everything(ctx context.Context, catalogs []reader, asOf time.Time) (whole inventory, err error) {
	whole.values = map[string]map[string]int{}
	options := catalog.ListOptions{Query: entry.Query{Versions: o.query.Versions}, AsOf: asOf, Facets: true}
	for _, c := range catalogs {
		page, err := c.List(ctx, options)
		if err != nil {
			if len(catalogs) == 1 {
				return whole, err
			}
			continue
		}
		whole.count += page.Total
		for facet, counts := range page.Facets {
			for value, count := range counts {
				whole.add(facet, value, count)
			}
		}
		whole.items = append(whole.items, page.Items...)
		for i := range page.Items {
			for _, tag := range page.Items[i].Tags {
				whole.add("tag", tag, 1)
			}
			for key, value := range page.Items[i].Labels {
				whole.add("label", key+"="+value, 1)
			}
		}
	}
	return whole, nil
}

func (w *inventory) add(facet, value string, count int) {
	if w.values[facet] == nil {
		w.values[facet] = map[string]int{}
	}
	w.values[facet][value] += count
}

// filter is one of a query's, by itself.
type filter struct {
	facet  string
	wanted []string // any of these
	alone  entry.Query
}

// filters returns each filter of the query by itself.
func (o *listOptions) filters() (all []filter) {
	q := &o.query
	add := func(facet, wanted string, alone entry.Query) {
		if wanted != "" {
			all = append(all, filter{facet, []string{wanted}, alone})
		}
	}
	add("name", q.Name, entry.Query{Name: q.Name})
	add("text", q.Search, entry.Query{Search: q.Search})
	add("architecture", entry.Architecture(q.Architecture), entry.Query{Architecture: q.Architecture})
	add("distro", q.Distro, entry.Query{Distro: q.Distro})
	if len(q.Targets) > 0 {
		all = append(all, filter{"target", q.Targets, entry.Query{Targets: q.Targets}})
	}
	add("format", q.Format, entry.Query{Format: q.Format})
	if phase, ok := entry.ParsePhase(string(q.Phase)); ok {
		add("phase", string(phase), entry.Query{Phase: phase})
	}
	for _, tag := range q.Tags {
		add("tag", tag, entry.Query{Tags: []string{tag}})
	}
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		add("label", key+"="+q.Labels[key], entry.Query{Labels: map[string]string{key: q.Labels[key]}})
	}
	if !q.Since.IsZero() {
		add("since", q.Since.UTC().Format(time.RFC3339), entry.Query{Since: q.Since})
	}
	return all
}

// misses says for each filter that nothing matches what there is instead; where
// each matches something, that nothing matches all of them.
func (o *listOptions) misses(whole inventory) (all []string) {
	for _, f := range o.filters() {
		if f.alone.Select(whole.items).Total > 0 {
			continue
		}
		what := fmt.Sprintf("no entry has %s %s", f.facet, strings.Join(f.wanted, " or "))
		switch f.facet {
		case "name":
			what = fmt.Sprintf("no entry has a name like %s", f.wanted[0])
		case "text":
			what = fmt.Sprintf("no entry has %q in its name, description, labels or tags", f.wanted[0])
		case "since":
			what = "no entry was published since " + f.wanted[0]
		}
		if values := whole.values[f.facet]; len(values) > 0 {
			what += "; there are: " + some(slices.Sorted(maps.Keys(values)))
		}
		all = append(all, what)
	}
	if len(all) == 0 {
		all = []string{fmt.Sprintf("no entry matches (of %d)", whole.count)}
	}
	return all
}

// some joins values, of very many those that come first.
func some(values []string) string {
	if rest := len(values) - maxValues; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(values[:maxValues], ", "), rest)
	}
	return strings.Join(values, ", ")
}
