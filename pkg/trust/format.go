package trust

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Format is a way to store signatures.
type Format = signature.Format

// The formats.
const (
	Bundle = signature.Bundle // a sigstore bundle in a referrer: cosign 3's
	Legacy = signature.Legacy // a layer under the tag sha256-….sig: cosign 2's
)

// Evidence is what was found of the signatures of one digest. It is complete only
// if Err is nil; otherwise there may be more.
type Evidence = signature.Evidence

// Find looks up the signatures of a digest in its repository, in both formats.
// What could not be looked up is in the evidence as its error, so that it is never
// taken for absent.
func Find(ctx context.Context, from registry.Repository, d digest.Digest) Evidence {
	return signature.Find(ctx, from, d)
}
