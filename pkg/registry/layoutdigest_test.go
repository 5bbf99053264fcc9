package registry

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// listedAs is a descriptor as an index.json lists it, with further members.
func listedAs(d ocispec.Descriptor, further string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, d.MediaType, d.Digest, d.Size, further)
}

// called is the member that gives an image in a layout its name.
func called(name string) string {
	text, _ := json.Marshal(name)
	return `,"annotations":{"org.opencontainers.image.ref.name":` + string(text) + `}`
}

// layoutOf makes a layout whose index.json is the given text, with some blobs.
func layoutOf(t *testing.T, index string, blobs ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	writer := newLayout(dir)
	for _, blob := range blobs {
		if err := writer.PushBlob(t.Context(), describe("", blob), blob); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, ocispec.ImageIndexFile), index, 0o600)
	return dir
}

// openText opens what the text of a reference names.
func openText(t *testing.T, text string) (Repository, Reference) {
	t.Helper()
	ref, err := ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	return repository, ref
}

// A digest names content, whatever an image in the layout is called.
func TestDigestsNameContent(t *testing.T) {
	one, first := manifestOf(t, "one", nil)
	two, second := manifestOf(t, "two", nil)
	hidden, third := manifestOf(t, "hidden", nil)
	absent := digest.FromString("absent")
	index := `{"schemaVersion":2,"manifests":[` + strings.Join([]string{
		listedAs(one, called(two.Digest.String())), listedAs(two, called("b")),
		listedAs(one, called(hidden.Digest.String())), listedAs(one, called(absent.String())),
	}, ",") + `]}`
	dir := layoutOf(t, index, first, second, third)
	for suffix, want := range map[string]digest.Digest{
		"@" + one.Digest.String(): one.Digest, "@" + two.Digest.String(): two.Digest, "@" + hidden.Digest.String(): hidden.Digest,
		":b@" + one.Digest.String(): one.Digest, ":" + two.Digest.String(): two.Digest, "@" + absent.String(): "",
	} {
		repository, ref := openText(t, "oci:"+dir+suffix)
		resolved, err := repository.Resolve(t.Context(), ref.Target())
		if resolved.Digest != want || (want == "") != (kind(err) == "not found") {
			t.Errorf("%s resolves to %q, %v; want %q", suffix, resolved.Digest, err, want)
		}
		described, body, err := repository.Manifest(t.Context(), ref.Target())
		if described.Digest != want || (want == "") != (kind(err) == "not found") || err == nil && digest.FromBytes(body) != want {
			t.Errorf("%s is %q, %v; want %q", suffix, described.Digest, err, want)
		}
	}
}

// The size of a manifest in a layout is that of its bytes.
func TestSizesInLayouts(t *testing.T) {
	manifest, body := manifestOf(t, "one", nil)
	for _, size := range []int64{-474, 0, 1, 1 << 40} {
		lie := manifest
		lie.Size = size
		dir := layoutOf(t, `{"schemaVersion":2,"manifests":[`+listedAs(lie, called("x"))+`]}`, body)
		for _, suffix := range []string{"", ":x", "@" + manifest.Digest.String()} {
			repository, ref := openText(t, "oci:"+dir+suffix)
			resolved, err := repository.Resolve(t.Context(), ref.Target())
			if err != nil || resolved.Size != manifest.Size {
				t.Errorf("a size of %d bytes, %q resolves to one of %d, %v; want %d", size, suffix, resolved.Size, err, manifest.Size)
			}
			described, got, err := repository.Manifest(t.Context(), ref.Target())
			if diff := cmp.Diff(body, got); err != nil || described.Size != manifest.Size || diff != "" {
				t.Errorf("a size of %d bytes, %q is one of %d, %v; want %d\n%s", size, suffix, described.Size, err, manifest.Size, diff)
			}
		}
	}
}
