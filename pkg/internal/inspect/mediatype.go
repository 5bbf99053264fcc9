package inspect

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	diskFamily = "application/vnd.automotive.disk."
	tarFamily  = "application/vnd.oci.image.layer.v1.tar"
	unknown    = "unknown" // what BuildKit calls the platform of an attestation
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

func isConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

// isAttestation tells the manifests that BuildKit puts beside those of the
// platforms.
func (n *node) isAttestation() bool {
	p := n.descriptor.Platform
	return p != nil && p.OS == unknown && p.Architecture == unknown
}

// mediaType is a media type as an error shows it.
func mediaType(text string) string {
	if text == "" || len(text) > maxFactLength || !plainText.MatchString(text) {
		return "something"
	}
	return text
}

// artifactType is what a manifest is: its own word, or that of its config, as
// it was written before image-spec 1.1.
func artifactType(manifest ocispec.Manifest) string {
	if manifest.ArtifactType == "" && !isConfig(manifest.Config.MediaType) && manifest.Config.MediaType != ocispec.MediaTypeEmptyJSON {
		return manifest.Config.MediaType
	}
	return manifest.ArtifactType
}

// diskFormat reads format (raw, qcow2, simg) and compression (gzip, lz4, xz)
// from a disk media type, and the compression alone from that of a tar file.
func diskFormat(mediaType string) (format, compression string, ok bool) {
	rest, ok := strings.CutPrefix(mediaType, diskFamily)
	if !ok {
		if rest, ok = strings.CutPrefix(mediaType, tarFamily); !ok || (rest != "" && rest[0] != '+') {
			return "", "", false
		}
		return "", strings.TrimPrefix(rest, "+"), true
	}
	format, compression, _ = strings.Cut(rest, "+")
	return format, compression, format != ""
}

// isDisk tells an artifact that is a disk image: by its type, or by the files
// in it where it has no type of its own.
func isDisk(manifest ocispec.Manifest) bool {
	if _, _, ok := diskFormat(artifactType(manifest)); ok {
		return true
	}
	for _, layer := range manifest.Layers {
		if strings.HasPrefix(layer.MediaType, diskFamily) {
			return true
		}
	}
	return false
}
