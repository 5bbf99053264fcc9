package entry

import (
	"cmp"
	"slices"
	"strings"
)

// Facets say, for each member of entries that a query selects by, how many
// entries have each value: architecture, distro, target, format, phase, tags and
// signed. An entry that has several values counts with each, and one that has
// none with none.
type Facets map[string]map[string]int

// maxFacet bounds the values of one facet.
const maxFacet = 200

// Count counts the values of entries, given by their outlines. All facets are
// there, and of each the 200 values that most entries have.
func Count[T any](all []T, outline func(T) *Outline) Facets {
	facets := Facets{"architecture": {}, "distro": {}, "target": {}, "format": {}, "phase": {}, "tags": {}, "signed": {}}
	for _, one := range all {
		o := outline(one)
		for _, architecture := range o.Architectures {
			facets["architecture"][architecture]++
		}
		for n, tag := range o.Tags {
			if !slices.Contains(o.Tags[:n], tag) {
				facets["tags"][tag]++
			}
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

// cutFacet leaves the values that most entries have. It sorts no more than it leaves:
// of hostile entries there may be millions.
func cutFacet(counts map[string]int) {
	if len(counts) <= maxFacet {
		return
	}
	type counted struct {
		value string
		count int
	}
	order := func(a, b counted) int {
		if a.count != b.count {
			return cmp.Compare(b.count, a.count)
		}
		return strings.Compare(a.value, b.value)
	}
	most := make([]counted, 0, maxFacet+1)
	for value, count := range counts {
		one := counted{value, count}
		if len(most) == maxFacet && order(most[maxFacet-1], one) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(most, one, order)
		most = slices.Insert(most, at, one)
		most = most[:min(len(most), maxFacet)]
	}
	clear(counts)
	for _, one := range most {
		counts[one.value] = one.count
	}
}
