package revision

import (
	"maps"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotation keys of revisions and attachments (SPEC section 4.2). The
// automotive keys are those that builds put on their images.
const (
	AnnotationImage        = "vnd.caib.catalog.image"
	AnnotationImageDigest  = "vnd.caib.catalog.image-digest"
	AnnotationSeen         = "vnd.caib.catalog.seen"
	AnnotationBase         = "vnd.caib.catalog.base"      // of edits only
	AnnotationReference    = "vnd.caib.catalog.reference" // of attachments only
	AnnotationDistro       = automotivePrefix + "distro"
	AnnotationTarget       = automotivePrefix + "target"
	AnnotationArch         = automotivePrefix + "arch"
	AnnotationExportFormat = automotivePrefix + "export-format"

	automotivePrefix = "automotive.sdv.cloud.redhat.com/"
)

const (
	maxFacet  = 256     // bytes of one value; GHCR refuses longer ones
	maxFacets = 2 << 10 // bytes of all keys and values together
)

// facets are the annotations of a revision: small copies of what the document
// says, for people and tools that read manifests. A value that is too long
// is left out, never cut: the document has it whole. The list is in order of
// importance; what does not fit is left out.
func facets(pairs ...string) map[string]string {
	set, used := map[string]string{}, 0
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		if value == "" || len(value) > maxFacet || used+len(key)+len(value) > maxFacets {
			continue
		}
		set[key] = value
		used += len(key) + len(value)
	}
	return set
}

// withCatalog returns the annotations of a revision's attachment: those of the
// revision, and the catalog that it is in. "" adds nothing, and neither does what
// is too long.
func withCatalog(annotations map[string]string, catalog string) map[string]string {
	used := len(AnnotationReference) + len(catalog)
	for key, value := range annotations {
		used += len(key) + len(value)
	}
	if catalog == "" || len(catalog) > maxFacet || used > maxFacets {
		return annotations
	}
	all := maps.Clone(annotations)
	if all == nil {
		all = map[string]string{}
	}
	all[AnnotationReference] = catalog
	return all
}

func documentFacets(d *Document, seen Seen, bases []string) map[string]string {
	target := ""
	if len(d.Metadata.Targets) > 0 {
		target = d.Metadata.Targets[0].Name
	}
	return facets(
		ocispec.AnnotationCreated, d.PublishedAt.String(),
		ocispec.AnnotationTitle, d.Name,
		AnnotationSeen, seen.String(),
		AnnotationBase, basesText(bases),
		AnnotationImageDigest, d.Image.Digest.String(),
		AnnotationImage, d.Image.Reference,
		ocispec.AnnotationVersion, d.Version,
		AnnotationDistro, d.Metadata.Distro,
		AnnotationTarget, target,
		AnnotationArch, d.Metadata.Architecture,
		AnnotationExportFormat, d.Metadata.ExportFormat,
	)
}

func (r *Removal) facets(seen Seen) map[string]string {
	return facets(
		ocispec.AnnotationCreated, r.RemovedAt.String(),
		ocispec.AnnotationTitle, r.Name,
		AnnotationSeen, seen.String(),
	)
}
