package inspect

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Whether the content is there takes no look at what is attached.
func TestCheck(t *testing.T) {
	m := newMemory()
	image := sample(t, m, "amd64", "arm64")
	m.attach(t, image, typeSPDX, layer("sbom", 7))
	m.refuse = entry.ErrUnreachable
	m.asked = nil
	found, err := Check(t.Context(), m, reference)
	if diff := cmp.Diff(image, found); err != nil || diff != "" || len(m.asked) != 5 {
		t.Errorf("%v after asking for %v\n%s", err, m.asked, diff)
	}
	gone := m.parsed(t, m.parsedIndex(t, image).Manifests[1]).Layers[0].Digest
	m.gone[gone] = true
	if found, err := Check(t.Context(), m, reference); !errors.Is(err, entry.ErrNotFound) || cmp.Diff(ocispec.Descriptor{}, found) != "" {
		t.Errorf("without a layer: %+v, %v", found, err)
	}
}
