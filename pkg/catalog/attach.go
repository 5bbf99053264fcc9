package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// AttachOutcome says whether a revision was put beside its image.
type AttachOutcome string

// The outcomes of attaching (SPEC section 9).
const (
	Attached        AttachOutcome = "attached"     // and found among the image's referrers afterwards
	AttachSkipped   AttachOutcome = "skipped"      // not asked for, or it is there, or nothing was written
	AttachForbidden AttachOutcome = "not writable" // the image's repository is not ours to write
	AttachRefused   AttachOutcome = "refused"      // the registry does not take it
	AttachFailed    AttachOutcome = "failed"       // the registry could not be asked, or lost it
)

// Attachment reports an attempt to attach a revision to its image. The catalog
// is complete without it.
type Attachment struct {
	Outcome AttachOutcome `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
}

// attach writes the revision as a referrer of its image, so that whoever has
// the image finds the entry.
func (c *Catalog) attach(ctx context.Context, repository registry.Repository, revision []byte, image ocispec.Descriptor) Attachment {
	packed, err := entry.PackAttachment(revision, image)
	if err != nil {
		return attachmentOf(err)
	}
	return c.putBeside(ctx, repository, packed, image, false)
}

// attachAgain attaches a revision that was published before, unless its
// attachment is there.
func (c *Catalog) attachAgain(ctx context.Context, repository registry.Repository, revision *entry.Revision, image ocispec.Descriptor) Attachment {
	manifest, err := c.log.Manifest(ctx, revision.Tag)
	if err == nil && digest.FromBytes(manifest) != revision.Digest {
		err = fmt.Errorf("%w: tag %s was overwritten", entry.ErrConflict, revision.Tag)
	}
	if err != nil {
		return attachmentOf(err)
	}
	packed, err := entry.PackAttachment(manifest, image)
	if err != nil {
		return attachmentOf(err)
	}
	return c.putBeside(ctx, repository, packed, image, true)
}

// putBeside writes a referrer of an image; again looks first whether it is there.
func (c *Catalog) putBeside(ctx context.Context, repository registry.Repository, packed *entry.Packed, image ocispec.Descriptor, again bool) Attachment {
	if again {
		attached, err := isAttached(ctx, repository, packed, image)
		switch {
		case err != nil:
			return attachmentOf(err)
		case attached:
			return Attachment{Outcome: AttachSkipped}
		}
	}
	return attachmentOf(c.pushAttachment(ctx, repository, packed, image))
}

// isAttached reports whether an attachment is among the referrers of an image,
// and there: what registries clean up may stay listed. Where nobody says what
// refers to the image, attaching shows it.
func isAttached(ctx context.Context, repository registry.Repository, packed *entry.Packed, image ocispec.Descriptor) (bool, error) {
	referrers, err := repository.Referrers(ctx, image)
	switch {
	case registry.LacksReferrers(err), registry.HidesAbsence(err):
		return false, nil
	case err != nil:
		return false, err
	case !slices.ContainsFunc(referrers, func(d ocispec.Descriptor) bool { return d.Digest == packed.Descriptor.Digest }):
		return false, nil
	}
	_, err = registry.Confirm(ctx, repository, packed.Descriptor.Digest.String())
	if errors.Is(err, entry.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// attachmentOf is the outcome of attaching.
func attachmentOf(err error) Attachment {
	switch {
	case err == nil:
		return Attachment{Outcome: Attached}
	case errors.Is(err, entry.ErrUnauthorized):
		return Attachment{Outcome: AttachForbidden, Reason: err.Error()}
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout):
		return Attachment{Outcome: AttachFailed, Reason: err.Error()}
	}
	return Attachment{Outcome: AttachRefused, Reason: err.Error()}
}

func (c *Catalog) pushAttachment(ctx context.Context, repository registry.Repository, packed *entry.Packed, image ocispec.Descriptor) error {
	for _, blob := range packed.Blobs {
		if err := repository.PushBlob(ctx, blob.Descriptor, blob.Content); err != nil {
			return err
		}
	}
	return repository.PushReferrer(registry.WithCatalog(ctx, c.reference), packed.Descriptor, packed.Manifest, image)
}
