package entry

import "strings"

// Repository returns a reference without its tag and digest: what every
// manifest of an image is below.
func Repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') && reference[:i] != "oci" {
		reference = reference[:i]
	}
	return reference
}
