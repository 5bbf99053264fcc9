package catalog

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// AttachOutcome says whether a revision was put beside its image.
type AttachOutcome string

// The outcomes of attaching (SPEC section 9).
const (
	Attached        AttachOutcome = "attached"     // and found among the image's referrers afterwards
	AttachSkipped   AttachOutcome = "skipped"      // not asked for, or nothing was written
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
func (c *Catalog) attach(ctx context.Context, repository registry.Repository, revision *entry.Packed, image ocispec.Descriptor) Attachment {
	err := pushAttachment(registry.WithCatalog(ctx, c.reference), repository, revision, image)
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

func pushAttachment(ctx context.Context, repository registry.Repository, revision *entry.Packed, image ocispec.Descriptor) error {
	packed, err := entry.PackAttachment(revision.Manifest, image)
	if err != nil {
		return err
	}
	for _, blob := range packed.Blobs {
		if err := repository.PushBlob(ctx, blob.Descriptor, blob.Content); err != nil {
			return err
		}
	}
	return repository.PushReferrer(ctx, packed.Descriptor, packed.Manifest, image)
}
