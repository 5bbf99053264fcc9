package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What an attacker writes is made by hand here, from SPEC, as any client of a
// registry can make it: no check of a well-meaning writer stands in the way.

// The media types of SPEC section 5.
const (
	typeEntry    = "application/vnd.caib.catalog.entry.v1+json"
	typeSnapshot = "application/vnd.caib.catalog.snapshot.v1"
	typeSegment  = "application/vnd.caib.catalog.segment.v1+jsonl+zstd"
)

// crafted is a manifest under its tag.
type crafted struct {
	tag      string
	manifest []byte
}

// craft makes a manifest whose one layer is a document, embedded in it.
func craft(artifactType string, document []byte, annotations map[string]string) ([]byte, error) {
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	return json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": artifactType, "config": config,
		"layers": []ocispec.Descriptor{{
			MediaType: artifactType, Digest: digest.FromBytes(document), Size: int64(len(document)), Data: document,
		}},
		"annotations": annotations,
	})
}

// publishTag is the tag of a publication (SPEC section 3.1).
func publishTag(name string, at time.Time, manifest digest.Digest) string {
	return tagOf(name, at, 'p', manifest)
}

func tagOf(name string, at time.Time, op byte, manifest digest.Digest) string {
	return fmt.Sprintf("%s.%09s.%c%s", name, strconv.FormatInt(at.UnixMilli(), 36), op, manifest.Encoded()[:16])
}

var revisionTag = regexp.MustCompile(`^(.+)\.[0-9a-z]{9}\.[pr][0-9a-f]{16}$`)

// tagsOf picks the tags of a name's revisions, oldest first.
func tagsOf(name string, listed []string) (tags []string) {
	for _, tag := range listed {
		if match := revisionTag.FindStringSubmatch(tag); match != nil && match[1] == name {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags) // the text of their times sorts as the times
	return tags
}

// stamp is how documents write a time.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func describe(manifest []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
}
