package registry

import "strings"

// What an address of a registry leads to (distribution-spec, section "Endpoints").
const (
	toManifests = "manifests"
	toBlobs     = "blobs" // uploads included
	toTags      = "tags"
	toReferrers = "referrers"
)

// endpointOf returns what the path of a request leads to, "" for anything else. It is
// read from the right: the name of a repository may hold each of these words itself.
func endpointOf(path string) string {
	name, isAPI := strings.CutPrefix(path, "/v2/")
	parts := strings.Split(name, "/")
	n := len(parts)
	switch {
	case !isAPI || n < 3:
		return ""
	case parts[n-2] == toManifests, parts[n-2] == toBlobs, parts[n-2] == toReferrers:
		return parts[n-2]
	case parts[n-2] == toTags && parts[n-1] == "list":
		return toTags
	case n > 3 && parts[n-2] == "uploads" && parts[n-3] == toBlobs:
		return toBlobs
	}
	return ""
}
