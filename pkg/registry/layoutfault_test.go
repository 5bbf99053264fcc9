package registry

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

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
