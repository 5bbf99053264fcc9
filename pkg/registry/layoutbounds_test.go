package registry

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var full = flag.Bool("full", false, "run the tests of layouts and of attachers at full size")

// layoutWithin opens a layout with small bounds.
func layoutWithin(root string, set func(*layoutBounds)) *layout {
	l := newLayout(root)
	set(&l.bounds)
	return l
}

// fillLayout publishes until the layout refuses, and returns the tags and the
// refusal.
func fillLayout(t *testing.T, l *layout) (tags []string, refusal error) {
	t.Helper()
	for i := range 100 {
		tag := fmt.Sprintf("t%03d", i)
		d, manifest := manifestOf(t, tag, nil)
		if refusal = l.PushManifest(t.Context(), d, manifest, tag); refusal != nil {
			return tags, refusal
		}
		tags = append(tags, tag)
	}
	t.Fatal("the layout took 100 tags: want a refusal at its bound")
	return nil, nil
}

// A layout that is filled to a bound refuses what would exceed it, changes
// nothing, and still lists, reads, moves tags and deletes.
func TestLayoutFull(t *testing.T) {
	for name, set := range map[string]func(*layoutBounds){
		"bytes":       func(b *layoutBounds) { b.index = 2000 },
		"descriptors": func(b *layoutBounds) { b.descriptors = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			l, ctx := layoutWithin(root, set), t.Context()
			tags, refusal := fillLayout(t, l)
			if kind(refusal) != "invalid" || !strings.Contains(refusal.Error(), "the layout is full") || !strings.Contains(refusal.Error(), "use a registry") {
				t.Errorf("refused by %v: want an invalid that names the way out", refusal)
			}
			before := tree(t, root)
			d, manifest := manifestOf(t, "one more", nil)
			subject, _ := manifestOf(t, tags[0], nil)
			for what, err := range map[string]error{
				"by tag":        l.PushManifest(ctx, d, manifest, "more"),
				"by digest":     layoutWithin(root, set).PushManifest(ctx, d, manifest, d.Digest.String()),
				"as a referrer": l.PushReferrer(ctx, d, manifest, subject),
			} {
				if kind(err) != "invalid" {
					t.Errorf("one more %s: got %v, want a refusal", what, err)
				}
			}
			if after := tree(t, root); !maps.Equal(before, after) {
				t.Errorf("a refusal changed files:\n%s", cmp.Diff(before, after))
			}
			for _, reader := range []*layout{l, layoutWithin(root, set), newLayout(root)} {
				if diff := cmp.Diff(tags, sortedTags(t, reader)); diff != "" {
					t.Errorf("tags of the full layout (-want +got):\n%s", diff)
				}
				if _, _, err := reader.Manifest(ctx, tags[0]); err != nil {
					t.Errorf("read from the full layout: %v", err)
				}
			}
			if err := l.PushManifest(ctx, d, manifest, tags[1]); err != nil {
				t.Errorf("move a tag of the full layout: %v", err)
			}
			if err := errors.Join(l.Delete(ctx, tags[0]), l.PushManifest(ctx, d, manifest, tags[0])); err != nil {
				t.Errorf("make room in the full layout: %v", err)
			}
		})
	}
}

// What readers refuse is not written.
func TestLayoutContentBounds(t *testing.T) {
	root := t.TempDir()
	l := layoutWithin(root, func(b *layoutBounds) { b.blob, b.manifest = 100, 1000 })
	blob := []byte(strings.Repeat("x", 101))
	long, manifest := manifestOf(t, strings.Repeat("x", 1000), nil)
	small, smallManifest := manifestOf(t, "small", nil)
	described := small
	described.Annotations = map[string]string{"text": strings.Repeat("x", 1000)}
	for what, err := range map[string]error{
		"a long blob":       l.PushBlob(t.Context(), describe("application/x", blob), blob),
		"a long manifest":   l.PushManifest(t.Context(), long, manifest, "t"),
		"a long referrer":   l.PushReferrer(t.Context(), long, manifest, small),
		"a long descriptor": l.PushReferrer(t.Context(), described, smallManifest, small),
	} {
		if kind(err) != "invalid" {
			t.Errorf("%s: got %v, want a refusal", what, err)
		}
	}
	for path := range tree(t, root) {
		if strings.Contains(path, "/blobs/") || strings.Contains(path, ".tmp-") || path == "/index.json" {
			t.Errorf("a refusal left %s", path)
		}
	}
	if err := l.PushBlob(t.Context(), describe("application/x", blob[:100]), blob[:100]); err != nil {
		t.Errorf("a blob of as many bytes as are allowed: %v", err)
	}
	if got, err := l.Blob(t.Context(), describe("application/x", blob[:100])); err != nil || len(got) != 100 {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
}

// An index.json that exceeds a bound is refused, whoever wrote it, and a change
// does not replace it.
func TestLayoutIndexOverBounds(t *testing.T) {
	descriptor := `{"mediaType":"a/b","digest":"` + string(digest.FromString("x")) + `","size":1}`
	for name, text := range map[string]string{
		"bytes":       `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", 2000),
		"descriptors": `{"manifests":[` + strings.Repeat("{},", 7) + descriptor + `]}`,
		"descriptor":  `{"manifests":[{"x":"` + strings.Repeat("x", 500) + `"}]}`,
		"beside":      `{"x":"` + strings.Repeat("x", 500) + `","manifests":[]}`,
	} {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`, 0o644)
		path := writeFile(t, filepath.Join(root, "index.json"), text, 0o644)
		l := layoutWithin(root, func(b *layoutBounds) { b.index, b.descriptors, b.manifest = 2000, 7, 480 })
		_, tags := l.Tags(t.Context())
		d, manifest := manifestOf(t, "m", nil)
		for what, err := range map[string]error{"tags": tags, "publish": l.PushManifest(t.Context(), d, manifest, "t")} {
			if kind(err) != "unreachable" || !strings.Contains(err.Error(), "more than the") {
				t.Errorf("%s, %s: got %v, want a refusal that names the bound", name, what, err)
			}
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			t.Errorf("%s: index.json was changed: %v", name, err)
		}
	}
}

// A layout of real size, one descriptor short of the bound.
func TestLayoutFullSize(t *testing.T) {
	if !*full {
		t.Skip("writes 64 MiB: run with -full")
	}
	root := t.TempDir()
	count := writeIndex(t, root, maxIndex-100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, start := newLayout(root), time.Now()
	tags, err := l.Tags(t.Context())
	if err != nil || len(tags) != count {
		t.Fatalf("%d tags, %v; want %d", len(tags), err, count)
	}
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d tags in %v; %d MiB held with the list of tags, %d MiB allocated", count, took, held>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
	if held > 192<<20 {
		t.Errorf("%d MiB are held: want at most 192", held>>20)
	}
	d, manifest := manifestOf(t, "m", nil)
	if err := l.PushManifest(t.Context(), d, manifest, "one-more"); kind(err) != "invalid" {
		t.Errorf("publish in a full layout: got %v, want a refusal", err)
	}
	if tags, err := newLayout(root).Tags(t.Context()); err != nil || len(tags) != count {
		t.Errorf("after the refusal: %d tags, %v; want %d", len(tags), err, count)
	}
	runtime.KeepAlive(l)
}

// writeIndex writes a layout whose index.json has at most size bytes, without
// the manifests that it lists, and returns how many those are.
func writeIndex(t *testing.T, root string, size int) (count int) {
	t.Helper()
	writeFile(t, filepath.Join(root, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`, 0o644)
	var b strings.Builder
	b.WriteString(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`)
	for comma := ""; ; comma = "," {
		next := fmt.Sprintf(`%s{"mediaType":"%s","digest":"%s","size":1500,"annotations":{"%s":"autosd-qemu-%06d.0mm7p6yxl.p%016x"}}`,
			comma, ocispec.MediaTypeImageManifest, digest.FromString(fmt.Sprint(count)), ocispec.AnnotationRefName, count, count)
		if b.Len()+len(next)+2 > size {
			break
		}
		b.WriteString(next)
		count++
	}
	b.WriteString(`]}`)
	writeFile(t, filepath.Join(root, "index.json"), b.String(), 0o644)
	return count
}
