package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// memory is a repository that can hold what no registry would take. Manifests
// stand under their tags and digests.
type memory struct {
	mu        sync.Mutex
	manifests map[string]stored
	blobs     map[digest.Digest][]byte
	gone      map[digest.Digest]bool  // layers that are not there
	sizes     map[digest.Digest]int64 // layers of another size than is said
	attached  map[digest.Digest][]ocispec.Descriptor
	refuse    error // what the list of referrers answers
	asked     []string
	looked    []digest.Digest
}

type stored struct {
	descriptor ocispec.Descriptor
	body       []byte
}

func newMemory() *memory {
	return &memory{manifests: map[string]stored{}, blobs: map[digest.Digest][]byte{},
		gone: map[digest.Digest]bool{}, sizes: map[digest.Digest]int64{}, attached: map[digest.Digest][]ocispec.Descriptor{}}
}

func (m *memory) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	d, _, err := m.Manifest(ctx, reference)
	return d, err
}

func (m *memory) Manifest(_ context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, reference)
	found, ok := m.manifests[reference]
	if !ok {
		return ocispec.Descriptor{}, nil, fmt.Errorf("fetch %s: %w", reference, entry.ErrNotFound)
	}
	return found.descriptor, found.body, nil
}

func (m *memory) Blob(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, d.Digest.String())
	blob, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("fetch %s: %w", d.Digest, entry.ErrNotFound)
	}
	return blob, nil
}

func (m *memory) StatBlob(_ context.Context, d ocispec.Descriptor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looked = append(m.looked, d.Digest)
	if size, lies := m.sizes[d.Digest]; lies && size != d.Size {
		return fmt.Errorf("look for %s: %w", d.Digest, entry.ErrMalformed)
	}
	if m.gone[d.Digest] {
		return fmt.Errorf("look for %s: %w", d.Digest, entry.ErrNotFound)
	}
	return nil
}

func (m *memory) Referrers(_ context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attached[subject.Digest], m.refuse
}

// attach stores an artifact that refers to a subject.
func (m *memory) attach(t testing.TB, subject ocispec.Descriptor, artifactType string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	artifact := manifest(ocispec.DescriptorEmptyJSON, layers...)
	artifact.ArtifactType, artifact.Subject = artifactType, &subject
	return m.attachManifest(t, subject, artifact)
}

func (m *memory) attachManifest(t testing.TB, subject ocispec.Descriptor, artifact ocispec.Manifest) ocispec.Descriptor {
	t.Helper()
	d := m.put(t, "referrer", ocispec.MediaTypeImageManifest, artifact)
	d.ArtifactType = artifact.ArtifactType
	m.attached[subject.Digest] = append(m.attached[subject.Digest], d)
	return d
}

func (m *memory) PushBlob(_ context.Context, d ocispec.Descriptor, content []byte) error {
	m.blobs[d.Digest] = content
	return nil
}

func (m *memory) PushManifest(_ context.Context, d ocispec.Descriptor, manifest []byte, reference string) error {
	m.manifests[reference] = stored{d, manifest}
	m.manifests[d.Digest.String()] = stored{d, manifest}
	return nil
}

// put stores a manifest, an index or their like, under a tag.
func (m *memory) put(t testing.TB, tag, mediaType string, manifest any) ocispec.Descriptor {
	t.Helper()
	body, ok := manifest.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(manifest); err != nil {
			t.Fatal(err)
		}
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	if err := m.PushManifest(t.Context(), d, body, tag); err != nil {
		t.Fatal(err)
	}
	return d
}

// config stores a container image's configuration.
func (m *memory) config(t testing.TB, mediaType string, config any) ocispec.Descriptor {
	t.Helper()
	body, ok := config.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	m.blobs[d.Digest] = body
	return d
}

const tag = "t"

var (
	reference = registry.Reference{Registry: "registry.example.com", Repository: "team/image", Tag: tag}
	built     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func (m *memory) inspect(t testing.TB) (*Image, error) {
	t.Helper()
	return Inspect(t.Context(), m, reference)
}

func (m *memory) mustInspect(t testing.TB) *Image {
	t.Helper()
	image, err := m.inspect(t)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// layer describes a layer that nobody ever reads.
func layer(name string, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(name), Size: size}
}

// manifest is one that read takes, around a configuration and layers.
func manifest(config ocispec.Descriptor, layers ...ocispec.Descriptor) ocispec.Manifest {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers}
	m.SchemaVersion = 2
	return m
}

func index(manifests ...ocispec.Descriptor) ocispec.Index {
	i := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests}
	i.SchemaVersion = 2
	return i
}

func (m *memory) parsed(t testing.TB, d ocispec.Descriptor) ocispec.Manifest {
	t.Helper()
	var parsed ocispec.Manifest
	if err := json.Unmarshal(m.manifests[d.Digest.String()].body, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func build(architectures ...string) samples.Build {
	return samples.Build{Distro: "autosd10-sig", Target: "rpi4", Architectures: architectures, Version: "1.4", Created: built}
}

func (m *memory) parsedIndex(t testing.TB, d ocispec.Descriptor) ocispec.Index {
	t.Helper()
	var parsed ocispec.Index
	if err := json.Unmarshal(m.manifests[d.Digest.String()].body, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}
