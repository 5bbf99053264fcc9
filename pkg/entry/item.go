package entry

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Item is an entry as users see it: one object of `list -o json` and of the
// HTTP API, the same type everywhere.
type Item struct {
	Name             string            `json:"name"`
	Version          string            `json:"version,omitempty"`
	Description      string            `json:"description,omitempty"`
	RegistryURL      string            `json:"registryUrl"` // the image's reference, as published
	Digest           digest.Digest     `json:"digest"`      // the image's digest
	Tags             []string          `json:"tags,omitempty"`
	Phase            Phase             `json:"phase"`
	Architecture     string            `json:"architecture,omitempty"` // empty for an image of several architectures
	Distro           string            `json:"distro,omitempty"`
	DistroVersion    string            `json:"distroVersion,omitempty"`
	KernelVersion    string            `json:"kernelVersion,omitempty"`
	Targets          []Target          `json:"targets,omitempty"`
	Bootc            bool              `json:"bootc"`
	BuildMode        string            `json:"buildMode,omitempty"`
	ExportFormat     string            `json:"exportFormat,omitempty"`
	SizeBytes        int64             `json:"sizeBytes,omitempty"`
	LayerCount       int               `json:"layerCount,omitempty"`
	LastVerified     Time              `json:"lastVerified"`
	PublishedAt      Time              `json:"publishedAt"`
	PublishedBy      string            `json:"publishedBy,omitempty"`
	Build            Build             `json:"build,omitzero"`           // the run of a pipeline that published it
	CreatedAt        Time              `json:"createdAt"`                // of the entry: its publication
	ImageCreatedAt   *Time             `json:"imageCreatedAt,omitempty"` // of the image, where it says
	SourceType       SourceType        `json:"sourceType"`
	SourceImageBuild string            `json:"sourceImageBuild,omitempty"`
	ScheduleName     string            `json:"scheduleName,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	ArtifactRefs     []ArtifactRef     `json:"artifactRefs,omitempty"`
	DownloadURL      string            `json:"downloadUrl"`        // where to fetch the first artifact, else the image: by digest
	Location         string            `json:"location,omitempty"` // where the image is asked for first, by digest; empty where it was published
	IsMultiArch      bool              `json:"isMultiArch"`
	PlatformVariants []Platform        `json:"platformVariants,omitempty"`
	Referrers        []ReferrerRef     `json:"referrers,omitempty"`
	AccessCount      int64             `json:"accessCount"`
	StatusReason     string            `json:"statusReason,omitempty"`
	StatusMessage    string            `json:"statusMessage,omitempty"`
	Revision         digest.Digest     `json:"revision"`          // manifest digest of the revision
	Verdict          Verdict           `json:"verdict,omitempty"` // empty: signatures were not checked
	Signers          []Signer          `json:"signers,omitempty"` // those whom the trust policy names, as far as they were looked for
	Conditions       []Condition       `json:"conditions,omitempty"`
	Catalog          string            `json:"catalog,omitempty"` // set when several catalogs are read together
}

// ArtifactRef is a file of an entry, as the HTTP API shows it.
type ArtifactRef struct {
	Type             string        `json:"type"`
	URL              string        `json:"url"`
	Digest           digest.Digest `json:"digest"`
	SizeBytes        int64         `json:"sizeBytes,omitempty"`
	Format           string        `json:"format,omitempty"`
	Compression      string        `json:"compression,omitempty"`
	Title            string        `json:"title,omitempty"`
	Partition        string        `json:"partition,omitempty"`
	DecompressedSize int64         `json:"decompressedSize,omitempty"`
}

// Signer is somebody whom a trust policy names, and who has signed an entry.
type Signer struct {
	Name   string `json:"name"` // as the policy names them
	What   string `json:"what"` // what they signed: entry or image
	Format string `json:"format"`
	Time   *Time  `json:"time,omitempty"` // when, where a trusted service proves it
}

// Architectures returns every architecture the entry runs on, in the order of
// the image's index.
func (i *Item) Architectures() []string {
	var all []string
	seen := map[string]bool{}
	for _, p := range i.PlatformVariants {
		if !seen[p.Architecture] {
			seen[p.Architecture], all = true, append(all, p.Architecture)
		}
	}
	if len(all) == 0 && i.Architecture != "" {
		all = append(all, i.Architecture)
	}
	return all
}

// HasDigest reports whether a digest names the image, one of its platforms, or the
// manifest of one of its artifacts.
func (i *Item) HasDigest(d digest.Digest) bool {
	return i.Digest == d ||
		slices.ContainsFunc(i.PlatformVariants, func(p Platform) bool { return p.Digest == d }) ||
		slices.ContainsFunc(i.ArtifactRefs, func(a ArtifactRef) bool { return strings.HasSuffix(a.URL, "@"+d.String()) })
}
