package entry

import (
	"cmp"
	"slices"
	"strings"
)

// Facets say, for each member of entries that a query selects by, how many
// entries have each value: architecture, distro, target, format, phase and
// signed. An entry that has several values counts with each, and one that has
// none with none.
type Facets map[string]map[string]int

// maxFacet bounds the values of one facet.
const maxFacet = 200

// Count counts the values of entries, given by their outlines. All facets are
// there, and of each the 200 values that most entries have.
func Count[T any](all []T, outline func(T) *Outline) Facets {
	facets := Facets{"architecture": {}, "distro": {}, "target": {}, "format": {}, "phase": {}, "signed": {}}
	for _, one := range all {
		o := outline(one)
		for _, architecture := range o.Architectures {
			facets["architecture"][architecture]++
		}
		for n, target := range o.Targets {
			if !slices.Contains(o.Targets[:n], target) {
				facets["target"][target]++
			}
		}
		facets["distro"][o.Distro]++
		facets["format"][o.Format]++
		facets["phase"][string(o.Phase)]++
		facets["signed"][string(o.Verdict)]++
	}
	for _, counts := range facets {
		delete(counts, "")
		cutFacet(counts)
	}
	return facets
}

// CountFacets is Count for items.
func CountFacets(items []Item) Facets {
	return Count(items, func(item Item) *Outline {
		o := item.outline()
		return &o
	})
}

// cutFacet leaves the values that most entries have.
func cutFacet(counts map[string]int) {
	if len(counts) <= maxFacet {
		return
	}
	values := make([]string, 0, len(counts))
	for value := range counts {
		values = append(values, value)
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	for _, value := range values[maxFacet:] {
		delete(counts, value)
	}
}
