package entry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Repository returns a reference without its tag and digest: what every
// manifest of an image is below.
func Repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexAny(reference, `/\`) && reference[:i] != "oci" {
		reference = reference[:i]
	}
	return reference
}

// Pinned returns the reference of a manifest in the repository of another
// reference: REPOSITORY@DIGEST, or oci:PATH@DIGEST. No tag that is moved
// changes what it names.
func Pinned(reference string, d digest.Digest) string {
	return Repository(reference) + "@" + d.String()
}
