package revision

import "strings"

// Media types of the format (SPEC sections 4, 5, 8 and 9).
const (
	MediaTypeEntry   = "application/vnd.caib.catalog.entry.v1+json"
	MediaTypeRemoval = "application/vnd.caib.catalog.removal.v1+json"
	// MediaTypeRevision is the layer of an attachment: the exact manifest of a
	// revision, as a blob. It is not the media type of a manifest, because
	// clients that copy an image with its referrers would look for it among
	// the manifests.
	MediaTypeRevision = "application/vnd.caib.catalog.revision.v1+json"
	// MediaTypeSignatures is the signatures of a revision beside its attachment,
	// and the layer that holds them.
	MediaTypeSignatures = "application/vnd.caib.catalog.signatures.v1+json"

	MediaTypeSnapshot = "application/vnd.caib.catalog.snapshot.v1"
	MediaTypeSegment  = "application/vnd.caib.catalog.segment.v1+jsonl+zstd"
	// MediaTypeHashes is a layer of a snapshot: the hashes of a segment.
	MediaTypeHashes = "application/vnd.caib.catalog.hashes.v1"
	// MediaTypeStatus is a status artifact, MediaTypeStatuses its layer.
	MediaTypeStatus   = "application/vnd.caib.catalog.status.v1"
	MediaTypeStatuses = "application/vnd.caib.catalog.statuses.v1+jsonl+zstd"
	// MediaTypeLocations is a locations artifact, MediaTypeLocationLines its layer.
	MediaTypeLocations     = "application/vnd.caib.catalog.locations.v1"
	MediaTypeLocationLines = "application/vnd.caib.catalog.locations.v1+jsonl"
)

const (
	entryFamily   = "application/vnd.caib.catalog.entry.v"
	removalFamily = "application/vnd.caib.catalog.removal.v"
)

// operation tells which operation an artifact type stands for, and whether it
// is of a later version of the format than this code reads.
func operation(artifactType string) (op Op, later, ok bool) {
	switch {
	case artifactType == MediaTypeEntry:
		return OpPublish, false, true
	case artifactType == MediaTypeRemoval:
		return OpRemove, false, true
	case strings.HasPrefix(artifactType, entryFamily):
		return OpPublish, true, true
	case strings.HasPrefix(artifactType, removalFamily):
		return OpRemove, true, true
	}
	return 0, false, false
}
