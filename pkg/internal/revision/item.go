package revision

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Event shows the revision as `history` does.
func (r *Revision) Event() entry.Event {
	event := entry.Event{
		Name: r.Tag.Name, At: r.Tag.Time(), Operation: r.Tag.Op.String(),
		Revision: r.Digest, Tag: r.Tag.String(), Format: r.Later,
	}
	if d := r.Document; d != nil {
		event.Version, event.By, event.Build = d.Version, d.PublishedBy, d.Build
		event.Image, event.ImageDigest = d.Image.Reference, d.Image.Digest
	}
	if m := r.Removal; m != nil {
		event.By, event.Reason, event.Ends = m.RemovedBy, m.Reason, m.Revision
	}
	return event
}

// Item shows a publication of a format that this code reads. Its slices and
// maps are the document's: read-only.
func (r *Revision) Item() entry.Item {
	d := r.Document
	item := entry.Item{
		Name: d.Name, Version: d.Version, Description: d.Description,
		RegistryURL: d.Image.Reference, Digest: d.Image.Digest,
		Tags: d.Tags, Phase: entry.PhaseAvailable,
		Architecture: d.Metadata.Architecture, Distro: d.Metadata.Distro,
		DistroVersion: d.Metadata.DistroVersion, KernelVersion: d.Metadata.KernelVersion,
		Targets: d.Metadata.Targets, Bootc: d.Metadata.Bootc,
		BuildMode: d.Metadata.BuildMode, ExportFormat: d.Metadata.ExportFormat,
		SizeBytes: d.Registry.SizeBytes, LayerCount: d.Registry.LayerCount,
		LastVerified: d.PublishedAt, PublishedAt: d.PublishedAt, PublishedBy: d.PublishedBy, Build: d.Build,
		CreatedAt: d.PublishedAt, ImageCreatedAt: d.Registry.CreatedAt,
		SourceType: d.Source.Type, SourceImageBuild: d.Source.ImageBuild, ScheduleName: d.Source.Schedule,
		Labels: d.Labels, DownloadURL: entry.Pinned(d.Image.Reference, d.Image.Digest), PlatformVariants: d.Registry.Platforms,
		Revision: r.Digest,
	}
	item.IsMultiArch = len(item.PlatformVariants) > 1
	for _, a := range d.Artifacts {
		item.ArtifactRefs = append(item.ArtifactRefs, entry.ArtifactRef{
			Type: a.Type, URL: artifactURL(d, &a), Digest: a.Digest, SizeBytes: a.SizeBytes,
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

// artifactURL is where a file is fetched from, by digest. Documents name the
// manifest of a file by digest; of one that has only a tag for it, the manifest
// is known where it is the image itself. Else the file's own digest is given: a
// blob of that repository, and no manifest that the tag names since.
func artifactURL(d *Document, a *Artifact) string {
	switch _, pin, pinned := strings.Cut(a.Reference, "@"); {
	case pinned:
		return entry.Pinned(a.Reference, digest.Digest(pin))
	case a.Reference == d.Image.Reference:
		return entry.Pinned(a.Reference, d.Image.Digest)
	}
	return entry.Pinned(a.Reference, a.Digest)
}
