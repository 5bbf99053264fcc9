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
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Other programs rewrite index.json in place, and two changes within a tick of
// the file system's clock have one time.
func TestLayoutNoticesChangesInPlace(t *testing.T) {
	root := fillBlobs(t, 2)
	path := filepath.Join(root, "index.json")
	reader, writer := newLayout(root), newLayout(root)
	for _, l := range []*layout{reader, writer} {
		if tags := sortedTags(t, l); !slices.Contains(tags, "first") {
			t.Fatalf("tags: %v", tags)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(text), `"first"`, `"other"`, 1), 0o644)
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	reader.cache.checked = reader.cache.checked.Add(-mtimeRecheck) // some time later
	if tags := sortedTags(t, reader); !slices.Contains(tags, "other") {
		t.Errorf("a reader does not see a change in place: %v", tags)
	}
	d, manifest := manifestOf(t, "m", nil)
	if err := writer.PushManifest(t.Context(), d, manifest, "m"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"m", "other", "t000000"}, sortedTags(t, writer)); diff != "" {
		t.Errorf("tags after a change in place and a publication (-want +got):\n%s", diff)
	}
}

// Once a tick has passed since it was read, an unchanged file is not read again.
func TestLayoutTrustsTimeAfterATick(t *testing.T) {
	l := newLayout(fillBlobs(t, 2))
	sortedTags(t, l)
	if l.cache.settled {
		t.Fatal("a file of the last seconds counts as one that shows every change")
	}
	l.cache.read = l.cache.read.Add(-2 * mtimeTick)
	l.cache.checked = l.cache.checked.Add(-mtimeRecheck)
	sortedTags(t, l)
	if !l.cache.settled {
		t.Error("a file that was read a tick after it was made is read again each time")
	}
}

// A file that was renamed into the place of index.json is another one, even
// with the same size and time.
func TestLayoutNoticesReplacedIndex(t *testing.T) {
	root := fillBlobs(t, 2)
	path := filepath.Join(root, "index.json")
	l := newLayout(root)
	for i, name := range []string{"first", "other", "third", "forth", "fifth"} {
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			old := []string{"first", "other", "third", "forth", "fifth"}[i-1]
			temporary := writeFile(t, path+".new", strings.Replace(string(text), old, name, 1), 0o644)
			if err := os.Chtimes(temporary, before.ModTime(), before.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(temporary, path); err != nil {
				t.Fatal(err)
			}
		}
		l.cache.settled = true // whatever the clocks say
		if tags := sortedTags(t, l); !slices.Contains(tags, name) {
			t.Errorf("tags after %s was renamed into place: %v", name, tags)
		}
	}
}

// What other programs wrote into index.json stays as it is.
func TestLayoutKeepsForeignText(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`, 0o644)
	d, manifest := manifestOf(t, "m", nil)
	listed, err := json.Marshal(ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Annotations: map[string]string{ocispec.AnnotationRefName: "m"}})
	if err != nil {
		t.Fatal(err)
	}
	const foreign = `{ "digest" : "sha256:abc", "later": {"a": [1, "]}"]},	"annotations": {"x": "\"\\"} }`
	for name, c := range map[string]struct{ before, after string }{
		"members":  {`{ "later": [[], {"x": "]}"}], "manifests": [ ` + foreign + ` ], "annotations": {"a": "b"} }`, `{ "later": [[], {"x": "]}"}], "manifests": [` + foreign + `,LISTED], "annotations": {"a": "b"} }`},
		"empty":    {`{"manifests":[],"x":1}`, `{"manifests":[LISTED],"x":1}`},
		"null":     {`{"manifests":null,"annotations":{"a":"b"}}`, `{"schemaVersion":0,"manifests":[LISTED],"annotations":{"a":"b"}}`},
		"missing":  {`{}`, `{"schemaVersion":0,"manifests":[LISTED]}`},
		"null one": {`{"manifests":[null]}`, `{"manifests":[null,LISTED]}`},
	} {
		path := writeFile(t, filepath.Join(root, "index.json"), c.before, 0o644)
		if err := newLayout(root).PushManifest(t.Context(), d, manifest, "m"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Replace(c.after, "LISTED", string(listed), 1), string(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever is taken for an index is one for other decoders too, with the same
// tags, and is written as it was read.
func FuzzLayoutIndex(f *testing.F) {
	for _, text := range []string{
		``, `{`, `{}`, `[]`, `null`, `{"manifests":[]}`, `{"manifests":[{}]}`, `{"manifests":[{},]}`, `{"manifests":[,{}]}`, `{"manifests":[{}{}]}`,
		`{"manifests":[{"digest":"sha256:a","annotations":{"org.opencontainers.image.ref.name":"t"}},null]}`,
		`{"manifests":[{"digest":"\u0061","annotations":{"org.opencontainers.image.ref.name":"\"\\"}}],"x":{"manifests":[1]}}`,
		`{"manifests":[],"manifests":[{}]}`, `{"Manifests":[{}]}`, `{"manifests":[{}],}`, `{"manifests":[{}]}x`, `{"manifests":[1]}`, `{"manifests":"x"}`, `{"manifests":5,"annotations":5}`,
		`{"manifests":[{"digest":5}],"annotations":[]}`, `{"manifests":[{"annotations":{"a":5,"org.opencontainers.image.ref.name":"t"}}]}`, `{"manifests":[}`, `{"a":"\`, `{"a":1 2}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseIndex(t.Context(), text, defaultBounds())
		if err != nil {
			return
		}
		var want struct {
			Manifests []struct {
				Digest      string
				Annotations map[string]string
			}
		}
		var other *json.UnmarshalTypeError // what is not text has no name, or no digest
		if err := json.Unmarshal([]byte(text), &want); err != nil && !errors.As(err, &other) {
			t.Fatalf("taken for an index: %q: %v", text, err)
		}
		if len(want.Manifests) != x.count || len(x.listed) != x.count {
			t.Fatalf("%q: %d descriptors, want %d", text, x.count, len(want.Manifests))
		}
		for i, m := range want.Manifests {
			if got := x.listed[i]; got.tag != m.Annotations[ocispec.AnnotationRefName] || got.digest != m.Digest {
				t.Errorf("%q: descriptor %d is %+v, want %+v", text, i, got, m)
			}
		}
		var written strings.Builder
		if err := x.write(&written, &indexEdit{}); err != nil {
			t.Fatal(err)
		}
		if int64(written.Len()) != x.size {
			t.Errorf("%q: written as %d bytes, counted as %d", text, written.Len(), x.size)
		}
		again, err := parseIndex(t.Context(), written.String(), defaultBounds())
		if err != nil || again.count != x.count {
			t.Errorf("%q: written as %q, which does not read as the same: %v", text, written.String(), err)
		}
	})
}
