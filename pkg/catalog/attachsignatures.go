package catalog

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
)

// attachSignatures puts the signatures of a revision beside its attachment, so
// that the revision can be verified where the catalog is not at hand (SPEC
// section 9): those that are known here, else those in the registry. What is
// among the listed referrers of the image, and there, is not written.
func (c *Catalog) attachSignatures(ctx context.Context, repository registry.Repository, rev *revision.Revision, image ocispec.Descriptor, listed []digest.Digest) Step {
	signatures := c.log.Signatures(rev.Tag)
	if len(signatures) == 0 {
		evidence := signature.Find(ctx, c.repository, rev.Digest)
		if evidence.Err != nil {
			return attachmentOf(evidence.Err)
		}
		for _, signature := range evidence.Signatures {
			text := jsontext.Value(signature.JSON()).Clone()
			if text.Compact() == nil {
				signatures = append(signatures, text)
			}
		}
	}
	packed, err := revision.PackSignatures(rev.Digest, signatures, image)
	if err != nil {
		return attachmentOf(err)
	}
	return c.putBeside(ctx, repository, image, listed, packed)
}

// followSignature puts the signatures of a publication beside its image, if the
// publication is attached there; nil is what is never attached. again
// tells that nothing was signed.
func (c *Catalog) followSignature(ctx context.Context, revision *revision.Revision, again bool) *Step {
	if revision.Document == nil || revision.Document.Source.Type == entry.SourceExternal {
		return nil
	}
	image := revision.Document.Image
	subject := ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}
	repository, listed, attached, err := c.findAttachment(ctx, revision, subject)
	result := Step{Outcome: Skipped, Reason: "the entry is not known to be attached to the image"}
	switch {
	case err != nil:
		result = attachmentOf(err)
	case attached && again:
		result = c.attachSignatures(ctx, repository, revision, subject, listed)
	case attached:
		result = c.attachSignatures(ctx, repository, revision, subject, nil)
	}
	return &result
}

// findAttachment opens the repository of a revision's image, lists what refers to
// the image, and reports whether the revision is attached there.
func (c *Catalog) findAttachment(ctx context.Context, rev *revision.Revision, image ocispec.Descriptor) (repository registry.Repository, listed []digest.Digest, attached bool, err error) {
	ref, err := registry.ParseReference(rev.Document.Image.Reference)
	if err != nil {
		return nil, nil, false, err
	}
	if repository, err = c.opener.openAgain(ref); err != nil {
		return nil, nil, false, err
	}
	manifest, err := c.log.Manifest(ctx, rev.Tag)
	if err != nil {
		return nil, nil, false, err
	}
	packed, err := c.packAttachment(manifest, image)
	if err != nil {
		return nil, nil, false, err
	}
	referrers, err := repository.Referrers(ctx, image)
	if err != nil && !errors.Is(err, absence.ErrNoReferrersAPI) && !errors.Is(err, absence.ErrHidden) {
		return nil, nil, false, err
	}
	for _, one := range referrers {
		listed = append(listed, one.Digest)
	}
	attached, err = isAttached(ctx, repository, listed, packed...)
	return repository, listed, attached, err
}
