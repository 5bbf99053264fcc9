package entry

import (
	"github.com/opencontainers/go-digest"
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
	Metadata    Metadata          `json:"metadata,omitzero"`
	Registry    Observed          `json:"registry,omitzero"`
	Artifacts   []Artifact        `json:"artifacts,omitempty"`
	Source      Source            `json:"source"`
	Labels      map[string]string `json:"labels,omitempty"`
	Mismatches  []Mismatch        `json:"mismatches,omitempty"`
	Catalog     string            `json:"catalog,omitempty"` // where it was published, in normal form; "" is not said
	PublishedAt Time              `json:"publishedAt"`       // the time of the revision's tag
	PublishedBy string            `json:"publishedBy,omitempty"`
}

// Image names what the entry describes: any manifest or index.
type Image struct {
	Reference string        `json:"reference"` // as published, with tag
	Digest    digest.Digest `json:"digest"`    // what the reference resolved to
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // of the manifest or index itself, in bytes
}

// Metadata is what users filter by. It comes from the image where the image
// says it, else from the publisher.
type Metadata struct {
	Architecture  string   `json:"architecture,omitempty"` // OCI term; "" for several platforms
	OS            string   `json:"os,omitempty"`
	Variant       string   `json:"variant,omitempty"`
	Distro        string   `json:"distro,omitempty"`
	DistroVersion string   `json:"distroVersion,omitempty"`
	KernelVersion string   `json:"kernelVersion,omitempty"`
	Targets       []Target `json:"targets,omitempty"`
	Bootc         bool     `json:"bootc,omitempty"`
	BuildMode     string   `json:"buildMode,omitempty"` // bootc, image or package
	ExportFormat  string   `json:"exportFormat,omitempty"`
}

// Target is a board or machine that the image is for.
type Target struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified,omitempty"` // somebody ran the image there
	Notes    string `json:"notes,omitempty"`
}

// Observed is what the image's registry said at publication; no user types it.
type Observed struct {
	CreatedAt  *Time      `json:"createdAt,omitempty"` // when the image was built; nil where it does not say
	SizeBytes  int64      `json:"sizeBytes,omitempty"` // every distinct blob counted once
	LayerCount int        `json:"layerCount,omitempty"`
	Platforms  []Platform `json:"platforms,omitempty"` // of a multi-platform index
	Referrers  []Referrer `json:"referrers,omitempty"` // what is attached to the image or to a platform of it
}

// Platform is one manifest of a multi-platform index.
type Platform struct {
	Architecture string        `json:"architecture"`
	OS           string        `json:"os,omitempty"`
	Variant      string        `json:"variant,omitempty"`
	Digest       digest.Digest `json:"digest"`
	SizeBytes    int64         `json:"sizeBytes,omitempty"`
	LayerCount   int           `json:"layerCount,omitempty"`
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

// SourceType says where an entry came from.
type SourceType string

// The source types of SPEC section 6.
const (
	SourceImageBuild SourceType = "ImageBuild"
	SourceExternal   SourceType = "External"
	SourceManual     SourceType = "Manual"
	SourceScheduled  SourceType = "Scheduled"
)

// Source says where an entry came from.
type Source struct {
	Type       SourceType `json:"type"`
	ImageBuild string     `json:"imageBuild,omitempty"`
	Schedule   string     `json:"schedule,omitempty"`
}
