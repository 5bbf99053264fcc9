package ocilog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// copyStatus copies the newest status artifact that can be read. It is beside the log:
// one that cannot be read is a warning.
func (c *copier) copyStatus(ctx context.Context) error {
	var empty []byte = ocispec.DescriptorEmptyJSON.Data
	from, to := c.plan.from, c.plan.to
	for i := range min(len(from.statuses), tryStatuses) {
		tag := from.statuses[len(from.statuses)-1-i]
		if n := len(c.plan.view.statuses); n > 0 && tag.Compare(c.plan.view.statuses[n-1]) <= 0 {
			return nil
		}
		manifest, layer, blob, err := from.log.fetchStatuses(ctx, tag)
		if err == nil {
			_, err = decodeStatuses(blob)
		}
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
		if err != nil {
			c.warn(fmt.Errorf("status %s is not read: %w", tag, err))
			continue
		}
		config := ocispec.DescriptorEmptyJSON
		config.Data = nil
		descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
		if err = to.target.PushBlob(ctx, config, empty); err == nil {
			err = to.target.PushBlob(ctx, layer, blob)
		}
		if err == nil {
			err = to.target.PushManifest(ctx, descriptor, manifest, tag.String())
		}
		if err != nil {
			return fmt.Errorf("destination: status: %w", err)
		}
		c.status = true
		return nil
	}
	return nil
}

// writeSnapshot writes the snapshot of the destination, however little is new, if the one
// that it has lacks a revision of the source.
func (c *copier) writeSnapshot(ctx context.Context) error {
	to, view := c.plan.to, c.plan.view
	if c.copied > 0 {
		var err error
		if view, err = to.ReadIncomplete(ctx); err != nil {
			return err
		}
	}
	base, _ := to.base()
	tail := to.uncovered(view, base)
	if !slices.ContainsFunc(tail, c.isOfSource) {
		return nil
	}
	tail, err := to.readable(ctx, view, tail)
	if err != nil || !slices.ContainsFunc(tail, c.isOfSource) {
		return err
	}
	next := &compaction{log: to, view: view, base: base, tail: tail, written: map[revision.Tag]bool{}, copied: c.held}
	if err := next.run(ctx); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	c.snapshot = true
	return nil
}

// isOfSource reports whether the copy is to put a revision of the source into the
// destination's snapshot.
func (c *copier) isOfSource(tag revision.Tag) bool {
	n := c.plan.byName[tag.Name]
	if n == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(n.tags, tag, revision.Tag.Compare)
	return found
}

// held returns what the source has at hand of some revisions: signatures, too.
func (c *copier) held(ctx context.Context, tags []revision.Tag) (map[revision.Tag]*CopyItem, error) {
	items := map[revision.Tag]*CopyItem{}
	c.atHand(ctx, slices.DeleteFunc(slices.Clone(tags), func(tag revision.Tag) bool { return !c.isOfSource(tag) }), items)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	return items, nil
}

// maxHeldBlobs bounds the blobs that heldBlobs holds, in bytes.
const maxHeldBlobs = 256 << 20

// heldBlobs asks for each blob once, as long as there is room for it.
type heldBlobs struct {
	blobs
	mu   sync.Mutex
	held map[digest.Digest][]byte
	size int
}

// Blob is that of blobs.
func (h *heldBlobs) Blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if blob := h.held[d.Digest]; blob != nil {
		return blob, nil
	}
	blob, err := h.blobs.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	if h.held == nil {
		h.held = map[digest.Digest][]byte{}
	}
	if h.size+len(blob) <= maxHeldBlobs {
		h.held[d.Digest], h.size = blob, h.size+len(blob)
	}
	return blob, nil
}
