package catalog

import (
	"context"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// admitBase returns an error unless a revision may be made of what another one says:
// the policy must let that through and, where the new one is to be signed, verify it.
// A rule that only warns shows what strangers say; a signature would vouch for it.
func (c *Catalog) admitBase(ctx context.Context, view *ocilog.View, base *revision.Revision, sign *Signing) error {
	item, err := c.admit(ctx, view, base, GetOptions{})
	if err != nil || sign == nil || c.policy() == nil || item.Verdict == entry.VerdictVerified {
		return err
	}
	return &trust.Error{
		What: subject(base), Digest: base.Digest, Verdict: item.Verdict, Subject: trust.SubjectEntry,
		Reason: "the policy does not verify it, and a signature would vouch for all that it says",
	}
}
