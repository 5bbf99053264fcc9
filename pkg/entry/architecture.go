package entry

import "strings"

// Architecture returns the OCI term for a machine name: x86_64 is amd64,
// aarch64 is arm64. Anything else comes back in lower case.
func Architecture(name string) string {
	switch lower := strings.ToLower(name); lower {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	default:
		return lower
	}
}
