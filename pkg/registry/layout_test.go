package registry

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutAt opens a layout as another process would.
func layoutAt(t testing.TB, root string) Repository {
	t.Helper()
	client, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(Reference{Layout: root})
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

func sortedTags(t *testing.T, repository Repository) []string {
	t.Helper()
	tags, err := repository.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(tags)
	return tags
}

func TestLayoutWriteAndRead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	writer, ctx := layoutAt(t, root), t.Context()
	d, manifest := manifestOf(t, "m", nil)
	blob := describe("application/x", []byte("blob"))
	for range 2 {
		if err := errors.Join(writer.PushBlob(ctx, blob, []byte("blob")), writer.PushManifest(ctx, d, manifest, "t1"),
			writer.PushManifest(ctx, d, manifest, "t2"), writer.PushManifest(ctx, d, manifest, d.Digest.String())); err != nil {
			t.Fatal(err)
		}
	}
	for _, reader := range []Repository{writer, layoutAt(t, root)} {
		if diff := cmp.Diff([]string{"t1", "t2"}, sortedTags(t, reader)); diff != "" {
			t.Error(diff)
		}
		if got, err := reader.Blob(ctx, blob); err != nil || string(got) != "blob" {
			t.Errorf("%q, %v", got, err)
		}
		for _, reference := range []string{"t1", "t2", d.Digest.String()} {
			fetched, body, err := reader.Manifest(ctx, reference)
			fetched.Annotations = nil
			if diff := cmp.Diff([]any{d, manifest}, []any{fetched, body}); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", reference, err, diff)
			}
		}
	}
	checkLayout(t, root, 2) // a manifest with a tag is not listed by its digest as well
}

// checkLayout reads a layout as any other tool would.
func checkLayout(t *testing.T, root string, manifests int) {
	t.Helper()
	marker, err := os.ReadFile(filepath.Join(root, "oci-layout"))
	if err != nil || string(marker) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("%s, %v", marker, err)
	}
	text, err := os.ReadFile(filepath.Join(root, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex || len(index.Manifests) != manifests {
		t.Errorf("%s", text)
	}
	for _, d := range index.Manifests {
		blob, err := os.ReadFile(filepath.Join(root, "blobs", "sha256", d.Digest.Encoded()))
		if err != nil || digest.FromBytes(blob) != d.Digest || int64(len(blob)) != d.Size {
			t.Errorf("%s: %v", d.Digest, err)
		}
	}
	leftovers, err := filepath.Glob(filepath.Join(root, "*", "*", ".tmp-*"))
	if err != nil || len(leftovers) != 0 {
		t.Errorf("%v, %v", leftovers, err)
	}
}

func TestLayoutRetag(t *testing.T) {
	root := t.TempDir()
	one, other := layoutAt(t, root), layoutAt(t, root)
	for i, text := range []string{"a", "b", "a"} {
		d, manifest := manifestOf(t, text, nil)
		writer, reader := one, other
		if i%2 == 1 {
			writer, reader = other, one
		}
		if err := writer.PushManifest(t.Context(), d, manifest, "t"); err != nil {
			t.Fatal(err)
		}
		got, body, err := reader.Manifest(t.Context(), "t")
		if err != nil || got.Digest != d.Digest || string(body) != string(manifest) {
			t.Errorf("after %s: %v, %v", text, got, err)
		}
		if tags := sortedTags(t, reader); len(tags) != 1 {
			t.Errorf("after %s: %v", text, tags)
		}
	}
	checkLayout(t, root, 1)
}

func TestLayoutNotFound(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	full := t.TempDir()
	if err := layoutAt(t, full).PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "no")
	for name, root := range map[string]string{"missing": missing, "empty": t.TempDir(), "full": full} {
		repository := layoutAt(t, root)
		if tags, err := repository.Tags(t.Context()); err != nil || (name != "full" && len(tags) != 0) {
			t.Errorf("%s: tags %v, %v", name, tags, err)
		}
		absent := describe("application/x", []byte("absent"))
		_, resolve := repository.Resolve(t.Context(), "no")
		_, _, byTag := repository.Manifest(t.Context(), "no")
		_, _, byDigest := repository.Manifest(t.Context(), absent.Digest.String())
		_, blob := repository.Blob(t.Context(), absent)
		for _, err := range []error{resolve, byTag, byDigest, blob} {
			if kind(err) != "not found" || !strings.Contains(err.Error(), root) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if referrers, err := repository.Referrers(t.Context(), d); err != nil || len(referrers) != 0 {
			t.Errorf("%s: referrers %v, %v", name, referrers, err)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("reading made a directory: %v", err)
	}
}

// A manifest below an index is listed nowhere, and found by its digest.
func TestLayoutReadsChildren(t *testing.T) {
	repository := layoutAt(t, t.TempDir())
	d, manifest := manifestOf(t, "child", nil)
	if err := repository.PushBlob(t.Context(), d, manifest); err != nil {
		t.Fatal(err)
	}
	want := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	got, body, err := repository.Manifest(t.Context(), d.Digest.String())
	if diff := cmp.Diff([]any{want, manifest}, []any{got, body}); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	blob := describe("application/x", []byte("no manifest"))
	if err := repository.PushBlob(t.Context(), blob, []byte("no manifest")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := repository.Manifest(t.Context(), blob.Digest.String()); kind(err) != "not found" {
		t.Errorf("a blob is taken for a manifest: %v", err)
	}
}
