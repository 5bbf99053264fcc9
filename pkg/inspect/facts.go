package inspect

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	automotive    = "automotive.sdv.cloud.redhat.com/"
	diskFamily    = "application/vnd.automotive.disk."
	labelBootc    = "containers.bootc"
	maxFactLength = 256
)

// plainText is what may stand in an entry: one printable line.
var plainText = regexp.MustCompile(`^[^\x00-\x1f\x7f-\x9f\x{061c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]*$`)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

func isConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

// facts collects metadata from what builders write. The first word on a
// subject stands.
type facts struct{ look *look }

// text returns a value that may stand in an entry, or "" with a warning.
func (f facts) text(what, value string) string {
	if len(value) <= maxFactLength && plainText.MatchString(value) {
		return value
	}
	f.look.image.Warnings = append(f.look.image.Warnings,
		fmt.Sprintf("the image's %s is not a line of at most %d printable characters: left out", what, maxFactLength))
	return ""
}

func (f facts) set(field *string, what, value string) {
	if *field == "" && value != "" {
		*field = f.text(what, value)
	}
}

// annotations reads the keys of automotive builds.
func (f facts) annotations(from map[string]string) {
	m := &f.look.image.Metadata
	f.set(&m.Distro, "distro annotation", from[automotive+"distro"])
	f.set(&m.Architecture, "arch annotation", entry.Architecture(from[automotive+"arch"]))
	f.set(&m.ExportFormat, "export-format annotation", from[automotive+"export-format"])
	if target := from[automotive+"target"]; target != "" && len(m.Targets) == 0 {
		if name := f.text("target annotation", target); name != "" {
			m.Targets = []entry.Target{{Name: name}}
		}
	}
}

// config reads a container image's platform and labels.
func (f facts) config(config ocispec.Image) {
	m := &f.look.image.Metadata
	if config.Architecture != "" {
		m.Architecture = "" // the config is the better witness
		f.set(&m.Architecture, "architecture", entry.Architecture(config.Architecture))
	}
	f.set(&m.OS, "os", config.OS)
	f.set(&m.Variant, "variant", config.Variant)
	if config.Config.Labels[labelBootc] == "1" || config.Config.Labels[labelBootc] == "true" {
		m.Bootc, m.BuildMode = true, "bootc"
	}
	f.annotations(config.Config.Labels)
}

// disk lists the files of a disk image artifact. Each is fetched by pulling
// the artifact, so its reference is the artifact's; its digest is the file's.
func (f facts) disk(artifact digest.Digest, manifest ocispec.Manifest) {
	format, isDisk := diskFormat(manifest.ArtifactType)
	if !isDisk {
		return
	}
	f.set(&f.look.image.Metadata.ExportFormat, "disk format", format)
	for _, layer := range manifest.Layers {
		layerFormat, ok := diskFormat(layer.MediaType)
		if !ok {
			layerFormat = format
		}
		size, err := strconv.ParseInt(layer.Annotations[automotive+"decompressed-size"], 10, 64)
		if err != nil || size < 0 || size > maxBytes {
			size = 0
		}
		at := registry.Reference{Registry: f.look.ref.Registry, Repository: f.look.ref.Repository, Layout: f.look.ref.Layout, Digest: artifact}
		f.look.image.Artifacts = append(f.look.image.Artifacts, entry.Artifact{
			Type: f.text("layer media type", layer.MediaType), Reference: at.String(), Digest: layer.Digest, SizeBytes: layer.Size,
			Format:    f.text("layer format", layerFormat),
			Title:     f.text("layer title", layer.Annotations[ocispec.AnnotationTitle]),
			Partition: f.text("partition annotation", layer.Annotations[automotive+"partition"]), DecompressedSize: size,
		})
	}
}

// diskFormat reads the format from a disk media type: raw, qcow2 or simg,
// whatever the compression.
func diskFormat(mediaType string) (string, bool) {
	rest, ok := strings.CutPrefix(mediaType, diskFamily)
	if !ok {
		return "", false
	}
	format, _, _ := strings.Cut(rest, "+")
	return format, format != ""
}
