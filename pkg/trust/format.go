package trust

import "github.com/oci-catalog/caib/pkg/internal/signature"

// Format is a way to store signatures.
type Format = signature.Format

// The formats.
const (
	Bundle = signature.Bundle // a sigstore bundle in a referrer: cosign 3's
	Legacy = signature.Legacy // a layer under the tag sha256-….sig: cosign 2's
)
