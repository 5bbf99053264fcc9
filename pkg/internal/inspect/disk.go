package inspect

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// disk lists the files of a disk image artifact: one, or one a partition. Each
// is fetched by pulling the artifact, so its reference is the artifact's; its
// digest is the file's.
func (f facts) disk(artifact digest.Digest, manifest ocispec.Manifest) {
	if !isDisk(manifest) {
		return
	}
	format, _, _ := diskFormat(artifactType(manifest))
	format = cmp.Or(format, layersFormat(manifest.Layers))
	f.set(&f.look.image.Metadata.ExportFormat, "disk format", format)
	format = cmp.Or(format, manifest.Annotations[automotive+"export-format"])
	names := strings.Split(manifest.Annotations[automotive+"parts"], ",")
	for i, layer := range manifest.Layers {
		title := layer.Annotations[ocispec.AnnotationTitle]
		if title == "" && len(names) == len(manifest.Layers) {
			title = strings.TrimSpace(names[i])
		}
		layerFormat, compression, _ := diskFormat(layer.MediaType)
		f.look.image.Artifacts = append(f.look.image.Artifacts, revision.Artifact{
			Type: f.text("layer media type", layer.MediaType), Reference: f.look.at(artifact), Digest: layer.Digest, SizeBytes: layer.Size,
			Format:           f.text("layer format", cmp.Or(layerFormat, format)),
			Title:            f.text("layer title", title),
			Partition:        f.text("partition annotation", layer.Annotations[automotive+"partition"]),
			Compression:      f.text("layer compression", compression),
			DecompressedSize: decompressedSize(layer),
		})
	}
}

func layersFormat(layers []ocispec.Descriptor) string {
	for _, layer := range layers {
		if format, _, _ := diskFormat(layer.MediaType); format != "" {
			return format
		}
	}
	return ""
}

// decompressedSize is what a layer's annotation says; 0 where it says nothing
// that could be a size.
func decompressedSize(layer ocispec.Descriptor) int64 {
	size, err := strconv.ParseInt(layer.Annotations[automotive+"decompressed-size"], 10, 64)
	if err != nil || size < 0 || size > maxBytes {
		return 0
	}
	return size
}

// at is the reference of a manifest beside the image.
func (l *look) at(d digest.Digest) string {
	return registry.Reference{Registry: l.ref.Registry, Repository: l.ref.Repository, Layout: l.ref.Layout, Digest: d}.String()
}
