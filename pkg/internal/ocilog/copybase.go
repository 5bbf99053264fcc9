package ocilog

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// goOnFromBase takes what the base of the destination has as present, but for the heads
// that are renewed.
func (p *CopyPlan) goOnFromBase(ctx context.Context) error {
	if p.options.Base == nil {
		return nil
	}
	p.base = map[revision.Tag]bool{}
	heads := map[revision.Tag]*revision.Revision{}
	var tags []revision.Tag // of heads
	for _, n := range p.copied() {
		for _, tag := range n.tags {
			if !p.have[tag] && p.options.Base(tag) {
				p.base[tag], p.have[tag] = true, true
			}
		}
		if p.base[n.Head.Tag] {
			heads[n.Head.Tag], tags = n.Head, append(tags, n.Head.Tag)
		}
	}
	if p.options.Renew == nil {
		return nil
	}
	c := &copier{plan: p, segments: &heldBlobs{blobs: p.from.log.target}}
	for some := range slices.Chunk(tags, copyBatch) {
		items := map[revision.Tag]*CopyItem{}
		c.atHand(ctx, slices.Clone(some), items)
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
		for _, tag := range some {
			var signatures []jsontext.Value
			if item := items[tag]; item != nil {
				signatures = item.Signatures
			}
			if p.options.Renew(heads[tag], signatures) {
				delete(p.base, tag)
				delete(p.have, tag)
			}
		}
	}
	return nil
}
