package revision

import (
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Document is the published state of one name: what a publish revision carries
// (SPEC section 6, schema/entry.v1.schema.json). Empty fields are left out of
// its JSON.
type Document struct {
	Name        string            `json:"name"`
	Version     string            `json:"version,omitempty"`
	Description string            `json:"description,omitempty"`
	Image       Image             `json:"image"`
	Tags        []string          `json:"tags,omitempty"`
	Metadata    entry.Metadata    `json:"metadata,omitzero"`
	Registry    Observed          `json:"registry,omitzero"`
	Artifacts   []Artifact        `json:"artifacts,omitempty"`
	Source      entry.Source      `json:"source"`
	Labels      map[string]string `json:"labels,omitempty"`
	Mismatches  []Mismatch        `json:"mismatches,omitempty"`
	Catalog     string            `json:"catalog,omitempty"` // where it was published, in normal form; "" is not said
	PublishedAt entry.Time        `json:"publishedAt"`       // the time of the revision's tag
	PublishedBy string            `json:"publishedBy,omitempty"`
	Build       entry.Build       `json:"build,omitzero"` // what published it; zero is not said
}

// Image names what the entry describes: any manifest or index.
type Image struct {
	Reference string        `json:"reference"` // as published, with tag
	Digest    digest.Digest `json:"digest"`    // what the reference resolved to
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // of the manifest or index itself, in bytes
}

// Observed is what the image's registry said at publication; no user types it.
type Observed struct {
	CreatedAt  *entry.Time      `json:"createdAt,omitempty"` // when the image was built; nil where it does not say
	SizeBytes  int64            `json:"sizeBytes,omitempty"` // every distinct blob counted once
	LayerCount int              `json:"layerCount,omitempty"`
	Platforms  []entry.Platform `json:"platforms,omitempty"` // of a multi-platform index
	Referrers  []Referrer       `json:"referrers,omitempty"` // what is attached to the image or to a platform of it
}

// Artifact is a file that can be fetched: a disk image, a partition of one.
type Artifact struct {
	Type             string        `json:"type"` // the media type
	Reference        string        `json:"reference"`
	Digest           digest.Digest `json:"digest"`
	SizeBytes        int64         `json:"sizeBytes,omitempty"`
	Format           string        `json:"format,omitempty"` // raw, qcow2, simg
	Title            string        `json:"title,omitempty"`  // file name
	Partition        string        `json:"partition,omitempty"`
	Compression      string        `json:"compression,omitempty"`      // gzip, lz4, xz; "" for none
	DecompressedSize int64         `json:"decompressedSize,omitempty"` // bytes; 0: not stated
}

// Mismatch is a field of the metadata of which image and publisher said
// different things. The image's word is published, unless the publisher
// overrode it.
type Mismatch struct {
	Field      string `json:"field"` // as in the document: "distro", "exportFormat"
	Image      string `json:"image"`
	Publisher  string `json:"publisher"`
	Overridden bool   `json:"overridden,omitempty"` // the publisher's word is published
}

// Referrer is an artifact whose subject is the image, or a platform of it. It
// is in the image's repository (SPEC section 6).
type Referrer struct {
	Type          string        `json:"type"`                    // artifact type
	PredicateType string        `json:"predicateType,omitempty"` // of an in-toto statement
	Digest        digest.Digest `json:"digest"`                  // of its manifest
	SizeBytes     int64         `json:"sizeBytes,omitempty"`     // of its files together
	Title         string        `json:"title,omitempty"`         // file name
	FileDigest    digest.Digest `json:"fileDigest,omitempty"`    // of its file, where there is one alone
	Subject       digest.Digest `json:"subject,omitempty"`       // the platform; "" for the image itself
}
