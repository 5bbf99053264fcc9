package entry

import (
	"slices"
	"strings"
)

// Item is an entry as users see it: one object of `list -o json` and of the
// HTTP API, the same type everywhere.
type Item struct {
	Name             string            `json:"name"`
	Version          string            `json:"version,omitempty"`
	Description      string            `json:"description,omitempty"`
	RegistryURL      string            `json:"registryUrl"` // the image's reference, as published
	Digest           string            `json:"digest"`      // the image's digest
	Tags             []string          `json:"tags,omitempty"`
	Phase            string            `json:"phase"`
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
	CreatedAt        Time              `json:"createdAt"`                // of the entry: its publication
	ImageCreatedAt   *Time             `json:"imageCreatedAt,omitempty"` // of the image, where it says
	SourceType       string            `json:"sourceType"`
	SourceImageBuild string            `json:"sourceImageBuild,omitempty"`
	ScheduleName     string            `json:"scheduleName,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	ArtifactRefs     []ArtifactRef     `json:"artifactRefs,omitempty"`
	DownloadURL      string            `json:"downloadUrl"` // the first artifact's reference, else the image's
	IsMultiArch      bool              `json:"isMultiArch"`
	PlatformVariants []PlatformVariant `json:"platformVariants,omitempty"`
	Referrers        []ReferrerRef     `json:"referrers,omitempty"`
	AccessCount      int64             `json:"accessCount"`
	StatusReason     string            `json:"statusReason,omitempty"`
	StatusMessage    string            `json:"statusMessage,omitempty"`
	Revision         string            `json:"revision"`          // manifest digest of the revision
	Verdict          string            `json:"verdict,omitempty"` // empty: signatures were not checked
	Signers          []Signer          `json:"signers,omitempty"` // those who count for the verdict
	Conditions       []Condition       `json:"conditions,omitempty"`
	Catalog          string            `json:"catalog,omitempty"` // set when several catalogs are read together
}

// Signer says by whom something is signed, as the policy names signers.
type Signer struct {
	What   string `json:"what"` // entry or image
	Signer string `json:"signer"`
	Time   *Time  `json:"time,omitempty"` // when, where a trusted service says so
}

// ArtifactRef is a file of an entry, as the HTTP API shows it.
type ArtifactRef struct {
	Type             string `json:"type"`
	URL              string `json:"url"`
	Digest           string `json:"digest"`
	SizeBytes        int64  `json:"sizeBytes,omitempty"`
	Format           string `json:"format,omitempty"`
	Compression      string `json:"compression,omitempty"`
	Title            string `json:"title,omitempty"`
	Partition        string `json:"partition,omitempty"`
	DecompressedSize int64  `json:"decompressedSize,omitempty"`
}

// PlatformVariant is one platform of an entry, as the HTTP API shows it.
type PlatformVariant struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os,omitempty"`
	Variant      string `json:"variant,omitempty"`
	Digest       string `json:"digest"`
	SizeBytes    int64  `json:"sizeBytes,omitempty"`
	LayerCount   int    `json:"layerCount,omitempty"`
}

// NewItem shows a publication. The item shares no mutable state with callers:
// treat its slices and maps as read-only, they are the document's.
func NewItem(revision *Revision) Item {
	d := revision.Document
	item := Item{
		Name: d.Name, Version: d.Version, Description: d.Description,
		RegistryURL: d.Image.Reference, Digest: d.Image.Digest.String(),
		Tags: d.Tags, Phase: PhaseAvailable,
		Architecture: d.Metadata.Architecture, Distro: d.Metadata.Distro,
		DistroVersion: d.Metadata.DistroVersion, KernelVersion: d.Metadata.KernelVersion,
		Targets: d.Metadata.Targets, Bootc: d.Metadata.Bootc,
		BuildMode: d.Metadata.BuildMode, ExportFormat: d.Metadata.ExportFormat,
		SizeBytes: d.Registry.SizeBytes, LayerCount: d.Registry.LayerCount,
		LastVerified: d.PublishedAt, PublishedAt: d.PublishedAt, PublishedBy: d.PublishedBy,
		CreatedAt: d.PublishedAt, ImageCreatedAt: d.Registry.CreatedAt,
		SourceType: string(d.Source.Type), SourceImageBuild: d.Source.ImageBuild, ScheduleName: d.Source.Schedule,
		Labels: d.Labels, DownloadURL: d.Image.Reference,
		Revision: revision.Digest.String(),
	}
	for _, p := range d.Registry.Platforms {
		item.PlatformVariants = append(item.PlatformVariants, PlatformVariant{
			Architecture: p.Architecture, OS: p.OS, Variant: p.Variant,
			Digest: p.Digest.String(), SizeBytes: p.SizeBytes, LayerCount: p.LayerCount,
		})
	}
	item.IsMultiArch = len(item.PlatformVariants) > 1
	for _, a := range d.Artifacts {
		item.ArtifactRefs = append(item.ArtifactRefs, ArtifactRef{
			Type: a.Type, URL: a.Reference, Digest: a.Digest.String(), SizeBytes: a.SizeBytes,
			Format: a.Format, Compression: a.Compression, Title: a.Title, Partition: a.Partition, DecompressedSize: a.DecompressedSize,
		})
	}
	if len(item.ArtifactRefs) > 0 {
		item.DownloadURL = item.ArtifactRefs[0].URL
	}
	item.Referrers = referrerRefs(d)
	item.Conditions = mismatchConditions(d)
	return item
}

// Architectures returns every architecture the entry runs on, in the order of
// the image's index.
func (i *Item) Architectures() []string { return i.appendArchitectures(nil) }

func (i *Item) appendArchitectures(all []string) []string {
	for _, p := range i.PlatformVariants {
		if !slices.Contains(all, p.Architecture) {
			all = append(all, p.Architecture)
		}
	}
	if len(all) == 0 && i.Architecture != "" {
		all = append(all, i.Architecture)
	}
	return all
}

// TargetNames returns the names of the entry's targets, "," between them.
func (i *Item) TargetNames() string {
	names := make([]string, len(i.Targets))
	for n, target := range i.Targets {
		names[n] = target.Name
	}
	return strings.Join(names, ",")
}
