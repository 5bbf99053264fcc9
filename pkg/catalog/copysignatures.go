package catalog

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// copySignatures puts the signatures of a revision beside it, before it has its tag.
// They are those that the source's snapshot carries; where that has none, they are
// looked up, unless nothing at the source is known to be signed.
func (r *copying) copySignatures(ctx context.Context, item *ocilog.CopyItem) error {
	signatures := evidenceOf(item.Signatures).Signatures
	if len(signatures) == 0 && (!item.Carried || item.Signed || r.from.policy() != nil) {
		evidence := signature.FindListed(ctx, r.from.repository, item.Revision.Digest, r.isListed)
		if evidence.Err != nil {
			return fmt.Errorf("signatures of %s: %w", item.Revision.Tag, evidence.Err)
		}
		signatures = evidence.Signatures
	}
	if len(signatures) == 0 {
		return nil
	}
	if err := item.PutUntagged(ctx); err != nil {
		return err
	}
	return r.writeSignatures(ctx, item.Revision, signatures)
}

// writeSignatures puts signatures beside a revision at the destination. Their artifacts
// are the same whoever copies them, so that none is there twice.
func (r *copying) writeSignatures(ctx context.Context, rev *revision.Revision, signatures []signature.Signature) error {
	ctx = referrertag.WithCatalog(ctx, r.to.normal)
	texts := make([][]byte, len(signatures))
	for i, one := range signatures {
		texts[i] = one.JSON()
		if err := signature.Write(ctx, r.to.repository, manifestDescriptor(rev), one, rev.Tag.Time().Time); err != nil {
			return fmt.Errorf("signature of %s: %w", rev.Tag, err)
		}
	}
	r.to.log.AddSignatures(ctx, rev.Tag, texts...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Signatures += len(signatures)
	return nil
}
