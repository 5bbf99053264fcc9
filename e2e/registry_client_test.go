package e2e

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// The tests read what caib wrote with the library's own registry client,
// and with the oras command in oras_test.go.

func (w *world) repository(reference string) (registry.Repository, registry.Reference) {
	w.t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	repository, err := client.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return repository, ref
}

// resolve returns the descriptor that an image reference names.
func (w *world) resolve(image string) ocispec.Descriptor {
	w.t.Helper()
	repository, ref := w.repository(image)
	d, err := repository.Resolve(w.t.Context(), ref.Target())
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// copyTag gives an image another tag in its repository.
func (w *world) copyTag(image, tag string) {
	w.t.Helper()
	repository, ref := w.repository(image)
	d, manifest, err := repository.Manifest(w.t.Context(), ref.Target())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := repository.PushManifest(w.t.Context(), d, manifest, tag); err != nil {
		w.t.Fatal(err)
	}
}

// attachments counts the entries attached to an image.
func (w *world) attachments(image string, subject ocispec.Descriptor) int {
	w.t.Helper()
	repository, _ := w.repository(image)
	referrers, err := repository.Referrers(w.t.Context(), subject)
	if err != nil {
		w.t.Fatal(err)
	}
	found := 0
	for _, d := range referrers {
		_, manifest, err := repository.Manifest(w.t.Context(), d.Digest.String())
		if errors.Is(err, entry.ErrNotFound) {
			continue // listed, and gone
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if carriesRevision(manifest) {
			found++
		}
	}
	return found
}

// Media types by which any OCI client knows what caib writes (SPEC section 3).
const (
	entryType    = "application/vnd.caib.catalog.entry.v1+json"
	revisionType = "application/vnd.caib.catalog.revision.v1+json"
)

// carriesRevision reports whether a manifest is an attachment: its one layer is a
// revision, embedded byte for byte.
func carriesRevision(manifest []byte) bool {
	var attachment ocispec.Manifest
	if err := json.Unmarshal(manifest, &attachment); err != nil || len(attachment.Layers) != 1 {
		return false
	}
	layer := attachment.Layers[0]
	return layer.MediaType == revisionType && layer.Size == int64(len(layer.Data)) && layer.Digest == digest.FromBytes(layer.Data)
}

// tags returns the tags of a repository.
func (w *world) tags(reference string) []string {
	w.t.Helper()
	repository, _ := w.repository(reference)
	tags, err := repository.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return tags
}

// outcome reads the attachment's outcome from `publish -o json`.
func outcome(t testing.TB, stdout string) catalog.Outcome {
	t.Helper()
	var result catalog.PublishResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	return result.Attachment.Outcome
}
