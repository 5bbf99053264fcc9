package client

import (
	"cmp"
	"context"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Heads lists what there is to verify, as List does, with the twins among it: of
// entries that the server evaluates, those that it has verified.
func (c *Client) Heads(ctx context.Context) ([]catalog.Head, error) {
	answer, err := c.list(ctx, catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
	if err != nil {
		return nil, err
	}
	twins := twinsOf(answer.Items)
	var heads []catalog.Head
	for n := range answer.Items {
		if item := &answer.Items[n]; c.catalog == "" || item.Catalog == c.catalog {
			heads = append(heads, catalog.Head{Name: item.Name, Revision: item.Revision, Image: item.RegistryURL, Twin: twins[item]})
		}
	}
	return append(heads, c.withheld(answer.Refused)...), nil
}

// twinsOf returns, of the entries that have the image of an earlier one of their
// catalog, the name of that one.
func twinsOf(items []entry.Item) map[*entry.Item]string {
	byCatalog := map[string][]*entry.Item{}
	for n := range items {
		if item := &items[n]; item.Verdict == "" || item.Verdict == entry.VerdictVerified {
			byCatalog[item.Catalog] = append(byCatalog[item.Catalog], item)
		}
	}
	twins := map[*entry.Item]string{}
	for _, live := range byCatalog {
		image := func(item *entry.Item) (revision.Image, bool) {
			return revision.Image{Reference: item.RegistryURL, Digest: item.Digest}, true
		}
		earlier := func(a, b *entry.Item) int {
			return cmp.Or(a.PublishedAt.Compare(b.PublishedAt.Time), strings.Compare(a.Name, b.Name))
		}
		for _, same := range revision.DuplicatesOf(live, image, earlier, normalText) {
			for _, later := range same[1:] {
				twins[later] = same[0].Name
			}
		}
	}
	return twins
}

// normalText is the normal form of a reference in a text; a text that is none is its
// own.
func normalText(text string) string {
	ref, err := registry.ParseReference(text)
	if err != nil {
		return text
	}
	return ref.Normal().String()
}
