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

// The size that index.json gives a referrer hides it from nobody: that of its
// file counts, and what nobody can read may be any referrer.
func TestSizesOfReferrersInLayouts(t *testing.T) {
	image, body := manifestOf(t, "one", nil)
	attached, signature := manifestOf(t, "signature", &image)
	for _, size := range []string{"-474", "0", "1", "4194305", "9223372036854775807", "1e400", `"x"`, "null"} {
		lie := strings.Replace(listedAs(attached, ""), `"size":`, `"size":`+size+`,"was":`, 1)
		repository, _ := openText(t, "oci:"+layoutOf(t, `{"manifests":[`+listedAs(image, called("x"))+`,`+lie+`]}`, body, signature))
		found, err := repository.Referrers(t.Context(), image)
		if err != nil || len(found) != 1 || found[0].Digest != attached.Digest || found[0].Size != attached.Size {
			t.Errorf("a size of %s: %v, %v; want %s with its %d bytes", size, found, err, attached.Digest, attached.Size)
		}
	}
	long := append(signature, strings.Repeat(" ", maxManifest)...)
	for _, size := range []int64{-1, 0, 474, int64(len(long))} {
		claimed := describe(image.MediaType, long)
		claimed.Size = size
		repository, _ := openText(t, "oci:"+layoutOf(t, `{"manifests":[`+listedAs(image, called("x"))+`,`+listedAs(claimed, "")+`]}`, body, long))
		for range 2 {
			if found, err := repository.Referrers(t.Context(), image); kind(err) != "malformed" {
				t.Errorf("a file of %d bytes with a size of %d: %v, %v; want malformed", len(long), size, found, err)
			}
		}
	}
}

// What other programs write into an index.json keeps nobody from the images that
// are listed as they should be.
func TestOddMembersInLayouts(t *testing.T) {
	image, body := manifestOf(t, "one", nil)
	other, second := manifestOf(t, "two", nil)
	whole := func(listed, around string) string {
		return `{"schemaVersion":2,"manifests":[` + listed + `]` + around + `}`
	}
	good := listedAs(image, called("x"))
	for name, index := range map[string]string{
		"a number as an annotation":         whole(listedAs(image, `,"annotations":{"n":5,"org.opencontainers.image.ref.name":"x","l":[]}`), ""),
		"a number, elsewhere":               whole(good+","+listedAs(other, `,"annotations":{"n":5}`), ""),
		"a number as a name, elsewhere":     whole(good+","+listedAs(other, `,"annotations":{"org.opencontainers.image.ref.name":5}`), ""),
		"annotations that are none":         whole(good+","+listedAs(other, `,"annotations":"x"`), ""),
		"a size as text":                    whole(strings.Replace(good, `"size":`, `"size":"x","was":`, 1), ""),
		"a size too large for any":          whole(strings.Replace(good, `"size":`, `"size":1e400,"was":`, 1), ""),
		"data that is not base64":           whole(listedAs(image, `,"data":"%%%"`+called("x")), ""),
		"a platform that is none":           whole(listedAs(image, `,"platform":"linux","urls":"x"`+called("x")), ""),
		"a digest that is a number":         whole(good+`,{"mediaType":"x","digest":5,"size":1}`, ""),
		"a number as the index's":           whole(good, `,"annotations":{"n":5}`),
		"a version as text, and no manners": whole(good, `,"schemaVersion":"2","mediaType":5,"subject":"x"`),
	} {
		dir := layoutOf(t, index, body, second)
		for _, suffix := range []string{":x", "@" + image.Digest.String()} {
			repository, ref := openText(t, "oci:"+dir+suffix)
			if d, _, err := repository.Manifest(t.Context(), ref.Target()); err != nil || d.Digest != image.Digest || d.Size != image.Size {
				t.Errorf("%s: %s is %v, %v", name, suffix, d, err)
			}
			if tags, err := repository.Tags(t.Context()); err != nil || len(tags) != 1 || tags[0] != "x" {
				t.Errorf("%s: tags %q, %v; want x", name, tags, err)
			}
			if _, err := repository.Referrers(t.Context(), image); err != nil {
				t.Errorf("%s: referrers: %v", name, err)
			}
		}
	}
	for name, index := range map[string]string{
		"half an index": whole(good, "")[:40], "no object": whole(`"x"`, ""), "a list": `[]`, "manifests that are none": `{"manifests":"x"}`,
		"a digest that is none": whole(strings.Replace(good, `"digest":`, `"digest":5,"was":`, 1), ""),
	} {
		repository, ref := openText(t, "oci:"+layoutOf(t, index, body)+":x")
		d, _, err := repository.Manifest(t.Context(), ref.Target())
		if err == nil || kind(err) == "not found" || strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "ocispec") {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

// Manifests below an index need not say what they are, and referrers may have
// odd members too.
func TestOddManifestsInLayouts(t *testing.T) {
	image, body := manifestOf(t, "one", nil)
	silent := []byte(strings.Replace(string(body), `"mediaType":"`+image.MediaType+`",`, "", 1))
	_, signature := manifestOf(t, "signature", &image)
	signature = []byte(strings.Replace(string(signature), `"text":`, `"n":5,"text":`, 1))
	attached := describe(image.MediaType, signature)
	index := `{"manifests":[` + listedAs(image, called("x")) + `,` + listedAs(attached, "") + `]}`
	repository, _ := openText(t, "oci:"+layoutOf(t, index, body, silent, signature))
	child := describe(image.MediaType, silent)
	if d, err := repository.Resolve(t.Context(), child.Digest.String()); err != nil || d.MediaType != child.MediaType || d.Size != child.Size {
		t.Errorf("a manifest that does not say what it is: %v, %v; want %v", d, err, child)
	}
	found, err := repository.Referrers(t.Context(), image)
	if err != nil || len(found) != 1 || found[0].Digest != attached.Digest {
		t.Errorf("referrers %v, %v; want %s", found, err, attached.Digest)
	}
}
