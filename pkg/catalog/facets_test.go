package catalog_test

import (
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// Facets count all matches, and the page has as many of them as its limit.
func TestFacetsCountBeyondTheLimit(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	for _, name := range []string{"a", "b", "c"} {
		w.publish(c, w.push("team/"+name, "1", "1"), catalog.PublishOptions{Name: name, NoAttach: true, Metadata: entry.Metadata{Distro: "cs9"}, Override: true})
	}
	query := entry.Query{Sort: entry.SortName, Limit: 2}
	plain, err := c.List(t.Context(), catalog.ListOptions{Query: query})
	if err != nil || plain.Facets != nil {
		t.Errorf("facets that nobody asked for: %v, %v", plain.Facets, err)
	}
	page, err := c.List(t.Context(), catalog.ListOptions{Query: query, Facets: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 2 || page.Items[0].Name != "a" || page.Items[1].Name != "b" || page.Total != 3 || page.Facets["distro"]["cs9"] != 3 {
		t.Errorf("%d items of %d, with %v, want a and b of 3, and cs9 three times", len(page.Items), page.Total, page.Facets)
	}
}
