package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/registry"
)

const catalogName = "registry.example.com/os/catalog"

// forms are the two that an archive has.
var forms = map[string]bool{"tar": false, "tar.zst": true}

func options() Options {
	return Options{Catalog: catalogName, Images: true, Created: time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)}
}

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// noise is content that does not compress.
func noise(size int) []byte {
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	_, _ = random.Read(content)
	return content
}

// manifestOf makes a manifest of a type with layers.
func manifestOf(t testing.TB, artifactType string, subject *ocispec.Descriptor, layers ...ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	t.Helper()
	if layers == nil {
		layers = []ocispec.Descriptor{}
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: layers, Subject: subject, Annotations: map[string]string{"of": artifactType},
	})
	if err != nil {
		t.Fatal(err)
	}
	return describe(ocispec.MediaTypeImageManifest, manifest), manifest
}

// source is a repository of which blobs can be read, and nothing else.
type source struct {
	registry.Repository
	open func(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

func (s *source) OpenBlob(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	content, err := s.open(ctx, d, offset)
	return content, offset, err
}

// holding is a source of one content, whatever is asked for.
func holding(content []byte) *source {
	return &source{open: func(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[offset:])), nil
	}}
}

// sample is what the tests put into an archive.
type sample struct {
	empty, layer, large           ocispec.Descriptor
	layerContent, largeContent    []byte
	image, referrer, child        ocispec.Descriptor
	imageText, refText, childText []byte
}

const (
	imageTag = "os.0kq2f4x8a.p0123456789abcdef"
	otherTag = "v1"
)

func newSample(t testing.TB, large int) *sample {
	t.Helper()
	s := &sample{layerContent: bytes.Repeat([]byte("layer "), 200), largeContent: noise(large)}
	s.empty = ocispec.DescriptorEmptyJSON
	s.empty.Data = nil
	s.layer, s.large = describe("application/x.layer", s.layerContent), describe("application/x.large", s.largeContent)
	s.image, s.imageText = manifestOf(t, "application/x.image", nil, s.layer, s.large)
	s.child, s.childText = manifestOf(t, "application/x.child", nil, s.layer)
	s.referrer, s.refText = manifestOf(t, "application/x.referrer", &s.image)
	return s
}

// write puts a sample into a repository.
func (s *sample) write(t testing.TB, w *Writer) {
	t.Helper()
	ctx := t.Context()
	nothing := describe("application/x.nothing", nil)
	must(t, w.PushBlob(ctx, s.empty, []byte("{}")))
	must(t, w.PushBlob(ctx, nothing, nil))
	for _, blob := range [][]byte{s.layerContent, s.largeContent} {
		d := describe("", blob)
		moved, err := w.CopyBlob(ctx, d, holding(blob))
		if err != nil || moved != d.Size {
			t.Fatalf("a blob of %d bytes: moved %d, %v", d.Size, moved, err)
		}
		if moved, err := w.CopyBlob(ctx, d, nil); err != nil || moved != 0 {
			t.Fatalf("a blob that is there: moved %d, %v", moved, err)
		}
	}
	must(t, w.PushManifest(ctx, s.image, s.imageText, s.image.Digest.String()))
	must(t, w.PushManifest(ctx, s.image, s.imageText, imageTag))
	must(t, w.PushManifest(ctx, s.image, s.imageText, otherTag))
	must(t, w.PushManifest(ctx, s.child, s.childText, s.child.Digest.String()))
	must(t, w.PushReferrer(ctx, s.referrer, s.refText, s.image))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// archived is an archive of what write writes.
func archived(t testing.TB, compress bool, options Options, write func(*Writer)) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, Stream(t.Context(), &out, compress, options, func(w *Writer) error { write(w); return nil }))
	return out.Bytes()
}

func opened(t testing.TB, content []byte) *Reader {
	t.Helper()
	r, err := Open(t.Context(), bytes.NewReader(content), int64(len(content)))
	must(t, err)
	return r
}

func newHash(content []byte) hash.Hash {
	hash := sha256.New()
	hash.Write(content)
	return hash
}

func describeFile(f File) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: f.Digest, Size: f.Size}
}
