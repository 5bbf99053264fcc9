package inspect

import (
	"errors"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What a repository gives for a digest must be what was asked for, even where
// size and type are those of another manifest.
func TestAnotherManifestThanAskedFor(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "arm64", OS: "linux"}})
	asked := m.put(t, "asked", ocispec.MediaTypeImageManifest, manifest(config, layer("a", 10)))
	other := m.put(t, "other", ocispec.MediaTypeImageManifest, manifest(config, layer("b", 10)))
	whole := m.put(t, tag, ocispec.MediaTypeImageIndex, index(asked))
	m.mustInspect(t)
	m.manifests[asked.Digest.String()] = m.manifests[other.Digest.String()]
	if image, err := m.inspect(t); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("another platform: %+v, %v; want unreachable", image, err)
	}
	m.manifests[whole.Digest.String()] = m.manifests[other.Digest.String()]
	pinned := reference
	pinned.Digest = whole.Digest
	if image, err := Inspect(t.Context(), m, pinned); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("another image: %+v, %v; want unreachable", image, err)
	}
}
