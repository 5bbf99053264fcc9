package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// attach writes the revision as a referrer of its image, so that whoever has
// the image finds the entry.
func (c *Catalog) attach(ctx context.Context, repository registry.Repository, rev []byte, image ocispec.Descriptor) Step {
	packed, err := c.packAttachment(rev, image)
	if err != nil {
		return attachmentOf(err)
	}
	return c.putBeside(ctx, repository, image, nil, packed...)
}

// ownAttachment is an attachment of which the blobs are pushed before the revision is
// there, and the manifest, which shows it, after that.
type ownAttachment struct {
	catalog    *Catalog
	repository registry.Repository
	image      ocispec.Descriptor
	packed     *revision.Packed
	done       chan struct{}
	err        error // of what was done until then
}

// startAttachment pushes the blobs of the attachment of a revision, but where the clock
// will refuse the revision.
func (c *Catalog) startAttachment(ctx context.Context, repository registry.Repository, rev []byte, image ocispec.Descriptor) *ownAttachment {
	a := &ownAttachment{catalog: c, repository: repository, image: image, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		if a.err = c.log.CheckClock(); a.err != nil {
			return
		}
		var all []*revision.Packed
		if all, a.err = c.packAttachment(rev, image); a.err == nil {
			a.packed = all[0]
			a.err = pushBlobs(ctx, repository, a.packed)
		}
	}()
	return a
}

// write writes the manifest.
func (a *ownAttachment) write(ctx context.Context) Step {
	if <-a.done; a.err != nil {
		return attachmentOf(a.err)
	}
	return attachmentOf(a.catalog.pushAttachmentManifest(ctx, a.repository, a.packed, a.image))
}

// packAttachment makes the attachment of a revision, and after it the one that
// earlier releases made, which does not name the catalog.
func (c *Catalog) packAttachment(rev []byte, image ocispec.Descriptor) ([]*revision.Packed, error) {
	name := c.normal
	if c.reference.Layout != "" {
		name = ""
	}
	packed, err := revision.PackAttachment(rev, name, image)
	if err != nil {
		return nil, err
	}
	earlier, err := revision.PackAttachment(rev, "", image)
	return []*revision.Packed{packed, earlier}, err
}

// reattach attaches a revision that was published before, unless its
// attachment is there: listed when the image was inspected, and not cleaned up,
// which registries do to what stays listed. Where nobody said what refers to the
// image, attaching shows it.
func (c *Catalog) reattach(ctx context.Context, repository registry.Repository, rev *revision.Revision, image *inspect.Image) Step {
	manifest, err := c.log.Manifest(ctx, rev.Tag)
	if err == nil && digest.FromBytes(manifest) != rev.Digest {
		err = fmt.Errorf("%w: tag %s was overwritten", entry.ErrConflict, rev.Tag)
	}
	if err != nil {
		return attachmentOf(err)
	}
	packed, err := c.packAttachment(manifest, image.Descriptor)
	if err != nil {
		return attachmentOf(err)
	}
	return c.putBeside(ctx, repository, image.Descriptor, image.Listed, packed...)
}

// putBeside writes the first of some referrers of an image, unless one of them,
// which says the same, is among those that are listed, and there.
func (c *Catalog) putBeside(ctx context.Context, repository registry.Repository, image ocispec.Descriptor, listed []digest.Digest, packed ...*revision.Packed) Step {
	attached, err := isAttached(ctx, repository, listed, packed...)
	switch {
	case err != nil:
		return attachmentOf(err)
	case attached:
		return Step{Outcome: Skipped}
	}
	return attachmentOf(c.pushAttachment(ctx, repository, packed[0], image))
}

// isAttached reports whether one of some attachments is among the listed referrers
// of an image, and there: what registries clean up may stay listed.
func isAttached(ctx context.Context, repository registry.Repository, listed []digest.Digest, packed ...*revision.Packed) (bool, error) {
	for _, one := range packed {
		if !slices.Contains(listed, one.Descriptor.Digest) {
			continue
		}
		_, err := absence.Confirm(ctx, repository, one.Descriptor.Digest.String())
		if !errors.Is(err, entry.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// attachmentOf is the outcome of attaching.
func attachmentOf(err error) Step { return stepOf(Attached, err) }

// stepOf is the outcome of a step that writes to an image's repository.
func stepOf(done Outcome, err error) Step {
	switch {
	case err == nil:
		return Step{Outcome: done}
	case errors.Is(err, entry.ErrUnauthorized):
		return Step{Outcome: notWritable, Reason: err.Error()}
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout):
		return Step{Outcome: Failed, Reason: err.Error()}
	}
	return Step{Outcome: refused, Reason: err.Error()}
}

func (c *Catalog) pushAttachment(ctx context.Context, repository registry.Repository, packed *revision.Packed, image ocispec.Descriptor) error {
	if err := pushBlobs(ctx, repository, packed); err != nil {
		return err
	}
	return c.pushAttachmentManifest(ctx, repository, packed, image)
}

func (c *Catalog) pushAttachmentManifest(ctx context.Context, repository registry.Repository, packed *revision.Packed, image ocispec.Descriptor) error {
	return repository.PushReferrer(referrertag.WithCatalog(ctx, c.reference.Normal().Base()), packed.Descriptor, packed.Manifest, image)
}

// pushBlobs pushes what an artifact consists of: nobody sees it before its manifest.
func pushBlobs(ctx context.Context, repository registry.Repository, packed *revision.Packed) error {
	group, within := errgroup.WithContext(ctx)
	for _, blob := range packed.Blobs {
		group.Go(func() error { return repository.PushBlob(within, blob.Descriptor, blob.Content) })
	}
	return group.Wait()
}
