package ocilog

import (
	"bytes"
	"context"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// passLate passes those signatures on that the destination lacks of heads which it has
// already: somebody signed them after they were copied.
func (c *copier) passLate(ctx context.Context) error {
	if c.plan.options.Late == nil {
		return nil
	}
	var heads []revision.Tag
	for _, n := range c.plan.copied() {
		if c.plan.have[n.Head.Tag] && !c.plan.base[n.Head.Tag] {
			heads = append(heads, n.Head.Tag)
		}
	}
	items := map[revision.Tag]*CopyItem{}
	c.atHand(ctx, heads, items)
	heads = slices.DeleteFunc(heads, func(tag revision.Tag) bool { return items[tag] == nil || len(items[tag].Signatures) == 0 })
	to := c.plan.to
	have := map[revision.Tag][]jsontext.Value{}
	c.plan.view.log.eachRecord(ctx, &heldBlobs{blobs: to.target}, slices.Clone(heads), func(o validRecord) { have[o.tag] = o.signatures })
	if ctx.Err() != nil {
		return timedOut(ctx)
	}
	return eachOf(ctx, c.plan.options.Parallel, heads, func(ctx context.Context, tag revision.Tag) error {
		item, known := items[tag], slices.Concat(have[tag], to.Signatures(tag))
		item.Signatures = slices.DeleteFunc(slices.Clone(item.Signatures), func(one jsontext.Value) bool {
			return slices.ContainsFunc(known, func(other jsontext.Value) bool { return bytes.Equal(one, other) })
		})
		if len(item.Signatures) == 0 {
			return nil
		}
		item.put = func(context.Context) error { return nil } // it is there
		if err := c.plan.options.Late(ctx, item); err != nil {
			c.keep(tag, err)
		}
		return ctx.Err()
	})
}
