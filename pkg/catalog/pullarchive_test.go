package catalog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/fetch"
)

// A blob that was changed after it was fetched gets into no archive.
func TestArchiveOfChangedBlobs(t *testing.T) {
	dir := t.TempDir()
	blob := ocispec.Descriptor{Digest: digest.FromString("content"), Size: 7}
	path := filepath.Join(dir, filepath.FromSlash(blobName(blob.Digest)))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{"content": nil, "altered": fetch.ErrAltered} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := copyFrom(dir)(blob, io.Discard); !errors.Is(err, want) {
			t.Errorf("of %q: %v, want %v", text, err, want)
		}
	}
}
