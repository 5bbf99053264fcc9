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

// everything returns what the catalogs hold, whatever the filters. One that cannot be
// read, or only in part, was told of when it was listed.
func (o *listOptions) everything(ctx context.Context, catalogs []reader, asOf time.Time) (all []entry.Item, err error) {
	options := catalog.ListOptions{Query: entry.Query{Versions: o.query.Versions}, AsOf: asOf}
	for _, c := range catalogs {
		page, err := c.List(ctx, options)
		switch {
		case err == nil:
			all = append(all, page.Items...)
		case len(catalogs) == 1:
			return nil, err
		}
	}
	return all, nil
}

// valuesOf returns the facets of items, with their labels for one more.
func valuesOf(items []entry.Item) entry.Facets {
	values := entry.CountFacets(items)
	values["tag"], values["label"] = values["tags"], map[string]int{}
	for i := range items {
		for key, value := range items[i].Labels {
			values["label"][key+"="+value]++
		}
	}
	return values
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
func (o *listOptions) misses(items []entry.Item) (all []string) {
	values := valuesOf(items)
	for _, f := range o.filters() {
		if f.alone.Select(items).Total > 0 {
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
		if there := slices.Sorted(maps.Keys(values[f.facet])); len(there) > 0 {
			what += "; there are: " + some(there)
		}
		all = append(all, what)
	}
	if len(all) == 0 {
		all = []string{fmt.Sprintf("no entry matches (of %d)", len(items))}
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
