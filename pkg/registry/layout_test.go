package registry

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
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
	checkLayout(t, root, 3)
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

// tree lists the files below a directory with their contents.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLayoutRefusesOtherDirectories(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	for name, files := range map[string]map[string]string{
		"notes":                 {"/notes.txt": "mine"},
		"a project":             {"/index.json": `{"name":"a web site"}`, "/main.js": "x"},
		"an index of something": {"/index.json": `{"manifests":[]}`},
	} {
		root := t.TempDir()
		for file, text := range files {
			writeFile(t, root+file, text, 0o600)
		}
		repository := layoutAt(t, root)
		_, tags := repository.Tags(t.Context())
		for _, err := range []error{tags, repository.PushManifest(t.Context(), d, manifest, "t"), repository.PushBlob(t.Context(), d, manifest)} {
			if kind(err) != "invalid" || !strings.Contains(err.Error(), root) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(files, tree(t, root)); diff != "" {
			t.Errorf("%s: the directory was changed:\n%s", name, diff)
		}
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "file"), "mine", 0o600)
	if _, err := layoutAt(t, file).Tags(t.Context()); kind(err) != "unreachable" {
		t.Errorf("a file: %v", err)
	}
}

// A process that was killed while it made the layout leaves some of this.
func TestLayoutToleratesLeftovers(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	for name, files := range map[string]map[string]string{
		"blobs":             {"/blobs/sha256/.tmp-1": "half"},
		"a temporary":       {"/.tmp-123": `{"imageL`},
		"lock":              {"/index.json.lock": ""},
		"marker":            {"/oci-layout": `{"imageLayoutVersion":"1.0.0"}`},
		"everything so far": {"/oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "/index.json.lock": "", "/.tmp-9": "", "/blobs/sha256/.tmp-2": ""},
	} {
		root := t.TempDir()
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(root+file), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, root+file, text, 0o600)
		}
		repository := layoutAt(t, root)
		if tags := sortedTags(t, repository); len(tags) != 0 {
			t.Errorf("%s: %v", name, tags)
		}
		if err := repository.PushManifest(t.Context(), d, manifest, "t"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tags := sortedTags(t, layoutAt(t, root)); len(tags) != 1 {
			t.Errorf("%s: %v", name, tags)
		}
	}
}

func TestLayoutFindsAlteredFiles(t *testing.T) {
	root := t.TempDir()
	repository := layoutAt(t, root)
	d, manifest := manifestOf(t, "m", nil)
	blob := describe("application/x", []byte("blob"))
	if err := errors.Join(repository.PushManifest(t.Context(), d, manifest, "t"), repository.PushBlob(t.Context(), blob, []byte("blob"))); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Blob(t.Context(), ocispec.Descriptor{Digest: blob.Digest, Size: 3}); kind(err) != "unreachable" {
		t.Errorf("a blob of another size: %v", err)
	}
	dir := filepath.Join(root, "blobs", "sha256")
	writeFile(t, filepath.Join(dir, blob.Digest.Encoded()), "blub", 0o600)
	writeFile(t, filepath.Join(dir, d.Digest.Encoded()), strings.Replace(string(manifest), `"m"`, `"n"`, 1), 0o600)
	if _, err := repository.Blob(t.Context(), blob); kind(err) != "unreachable" {
		t.Errorf("blob: %v", err)
	}
	for _, reference := range []string{"t", d.Digest.String()} {
		if _, body, err := repository.Manifest(t.Context(), reference); kind(err) != "unreachable" || body != nil {
			t.Errorf("manifest by %s: %s, %v", reference, body, err)
		}
	}
	// Writing it again heals it.
	if err := repository.PushBlob(t.Context(), blob, []byte("blob")); err != nil {
		t.Fatal(err)
	}
	if got, err := repository.Blob(t.Context(), blob); err != nil || string(got) != "blob" {
		t.Errorf("%q, %v", got, err)
	}
	writeFile(t, filepath.Join(root, "index.json"), `{"manifests":[`, 0o600)
	if _, err := repository.Tags(t.Context()); kind(err) != "unreachable" {
		t.Errorf("index.json: %v", err)
	}
}

// A digest is a path here, and other people's.
func TestLayoutDigestsStayInside(t *testing.T) {
	parent := t.TempDir()
	secret := writeFile(t, filepath.Join(parent, "secret"), "s3cr3t", 0o600)
	root := filepath.Join(parent, "layout")
	repository := layoutAt(t, root)
	d, manifest := manifestOf(t, "m", nil)
	if err := repository.PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	before := tree(t, parent)
	for _, hostile := range []digest.Digest{
		"sha256:../../../secret", "sha256:../../index.json", "../../secret:x", "sha256:", ":", "", "nonsense", "md5:d41d8cd98f00b204e9800998ecf8427e",
		digest.Digest("sha256:" + strings.Repeat("A", 64)), digest.Digest("sha256:" + strings.Repeat("0", 60) + "/../"),
	} {
		descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: hostile, Size: 6}
		if blob, err := repository.Blob(t.Context(), descriptor); kind(err) != "invalid" {
			t.Errorf("read %q: %q, %v", hostile, blob, err)
		}
		if err := repository.PushBlob(t.Context(), descriptor, []byte("s3cr3t")); kind(err) != "invalid" {
			t.Errorf("write %q: %v", hostile, err)
		}
		if err := repository.PushManifest(t.Context(), descriptor, []byte("s3cr3t"), "x"); kind(err) != "invalid" {
			t.Errorf("write manifest %q: %v", hostile, err)
		}
		if _, body, err := repository.Manifest(t.Context(), string(hostile)); kind(err) == "" || body != nil {
			t.Errorf("manifest %q: %q", hostile, body)
		}
	}
	if err := repository.PushBlob(t.Context(), describe("application/x", []byte("a")), []byte("b")); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("content under another's digest: %v", err)
	}
	after := tree(t, parent)
	if !maps.Equal(before, after) || after[strings.TrimPrefix(secret, parent)] != "s3cr3t" {
		t.Errorf("files changed:\n%s", cmp.Diff(before, after))
	}
}
