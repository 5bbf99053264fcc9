package catalog_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// ward is a catalog in a directory, whose files a test damages.
type ward struct {
	t      *testing.T
	dir    string
	cache  string
	policy *catalog.Signing // nil reads without a policy
}

func newWard(t *testing.T, names ...string) *ward {
	t.Helper()
	w := &ward{t: t, dir: filepath.Join(t.TempDir(), "catalog"), cache: t.TempDir()}
	for _, name := range names {
		w.publish(name, "1")
	}
	return w
}

// open opens the catalog as a new process of the same reader would.
func (w *ward) open() *catalog.Catalog {
	w.t.Helper()
	options := catalog.Options{CacheDir: w.cache, StateDir: w.cache, Recheck: time.Millisecond, Fresh: -1}
	if w.policy != nil {
		options.Policy = trusting(w.t, w.policy)
	}
	c, err := catalog.Open("oci:"+w.dir, options)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// publish publishes a version of a name, whose image is in a layout of its own.
func (w *ward) publish(name, version string) catalog.PublishResult {
	w.t.Helper()
	client, err := registry.New(registry.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	image := "oci:" + filepath.Join(filepath.Dir(w.dir), name) + ":" + version
	to, err := client.Open(parse(w.t, image))
	if err != nil {
		w.t.Fatal(err)
	}
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: name + version, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if _, err := samples.Bootc(w.t.Context(), to, version, build); err != nil {
		w.t.Fatal(err)
	}
	result, err := w.open().Publish(w.t.Context(), image, catalog.PublishOptions{Name: name, Version: version, Sign: w.policy})
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// tags returns the tags of revisions of a name, in log order.
func (w *ward) tags(name string) (found []revision.Tag) {
	w.t.Helper()
	for listed := range w.index() {
		if tag, ok := revision.ParseTag(listed); ok && tag.Name == name {
			found = append(found, tag)
		}
	}
	slices.SortFunc(found, revision.Tag.Compare)
	return found
}

// index returns the digests that the directory lists, by tag.
func (w *ward) index() map[string]digest.Digest {
	w.t.Helper()
	var index struct {
		Manifests []struct {
			Digest      digest.Digest
			Annotations map[string]string
		}
	}
	w.read(filepath.Join(w.dir, "index.json"), &index)
	found := map[string]digest.Digest{}
	for _, m := range index.Manifests {
		found[m.Annotations["org.opencontainers.image.ref.name"]] = m.Digest
	}
	return found
}

func (w *ward) read(path string, into any) {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) blob(d digest.Digest) string {
	return filepath.Join(w.dir, "blobs", "sha256", d.Encoded())
}

// document is the blob that a revision's manifest names.
func (w *ward) document(tag revision.Tag) digest.Digest {
	w.t.Helper()
	var manifest struct {
		Layers []struct{ Digest digest.Digest }
	}
	w.read(w.blob(w.index()[tag.String()]), &manifest)
	return manifest.Layers[0].Digest
}

func (w *ward) remove(d digest.Digest) {
	w.t.Helper()
	if err := os.Remove(w.blob(d)); err != nil {
		w.t.Fatal(err)
	}
}

// flip changes one byte of a blob.
func (w *ward) flip(d digest.Digest) {
	w.t.Helper()
	text, err := os.ReadFile(w.blob(d))
	if err != nil {
		w.t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(w.blob(d), text, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// untag takes a tag out of index.json.
func (w *ward) untag(tag revision.Tag) {
	w.t.Helper()
	client, err := registry.New(registry.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := client.Open(parse(w.t, "oci:"+w.dir))
	if err == nil {
		err = to.Delete(w.t.Context(), tag.String())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// files returns the content of every file of a directory, by name.
func (w *ward) files() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*", "blobs/sha256/*"} {
		paths, err := filepath.Glob(filepath.Join(w.dir, pattern))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				info, err := os.Stat(path)
				if err != nil {
					w.t.Fatal(err)
				}
				found[path] = info.ModTime().String() + string(text)
			}
		}
	}
	return found
}

func (w *ward) examine() *catalog.Examination {
	w.t.Helper()
	found, err := w.open().Examine(w.t.Context(), catalog.ExamineOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// states are the findings in short: what, of which entry, its state, and whether it
// can be mended, or was.
func states(found *catalog.Examination) (all []string) {
	for _, f := range found.Findings {
		mend := "no"
		switch {
		case f.Mended:
			mend = "mended"
		case f.Failed != "":
			mend = "failed"
		case f.From != "":
			mend = "can"
		}
		all = append(all, strings.Join([]string{f.What, f.Name, f.State, mend}, " "))
	}
	return all
}

// mend repairs the catalog and requires that it is whole then, and that another
// repair writes nothing.
func (w *ward) mend() {
	w.t.Helper()
	found := w.examine()
	if err := found.Repair(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := found.Err(); err != nil {
		w.t.Errorf("after the repair: %v: %+v", err, found.Findings)
	}
	before := w.files()
	again := w.examine()
	if err := again.Repair(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if len(again.Findings) > 0 || again.Err() != nil {
		w.t.Errorf("examined again: %q, %v, want whole", states(again), again.Err())
	}
	if !maps.Equal(before, w.files()) {
		w.t.Error("the second repair wrote something")
	}
}

func TestDamagedRevisionsAreMended(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(w *ward)
		want   []string
	}{
		{"nothing", func(*ward) {}, nil},
		{"the manifest of the head is gone", func(w *ward) { w.remove(w.index()[w.tags("a")[1].String()]) }, []string{"revision a damaged can"}},
		{"the manifest of the head is altered", func(w *ward) { w.flip(w.index()[w.tags("a")[1].String()]) },
			[]string{"revision a damaged can", "signature a unknown no", "signature b unknown no"}}, // it may be a signature of anything
		{"that of a revision before it is gone", func(w *ward) { w.remove(w.index()[w.tags("a")[0].String()]) }, []string{"revision a damaged can"}},
		{"a document is gone", func(w *ward) { w.remove(w.document(w.tags("a")[1])) }, []string{"revision a damaged can"}},
		{"a document is altered", func(w *ward) { w.flip(w.document(w.tags("b")[0])) }, []string{"revision b damaged can"}},
		{"a head is lost", func(w *ward) { w.untag(w.tags("a")[1]) }, []string{"revision a lost can"}},
		{"all heads are lost", func(w *ward) {
			w.untag(w.tags("a")[1])
			w.untag(w.tags("b")[0])
			w.untag(w.tags("gone")[1])
		}, []string{"revision a lost can", "revision b lost can", "revision gone lost can"}},
		{"what was superseded is gone", func(w *ward) { w.untag(w.tags("a")[0]) }, nil},
		{"a removal is lost behind a publication", func(w *ward) {
			w.publish("gone", "2")
			w.untag(w.tags("gone")[1])
		}, []string{"revision gone lost can"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, "a", "b", "gone")
			w.publish("a", "2")
			if _, err := w.open().Remove(t.Context(), "gone", catalog.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
			want := w.list()
			w.examine() // this reader has seen it whole
			tt.damage(w)
			got := states(w.examine())
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			w.mend()
			if !strings.Contains(tt.name, "behind") {
				if diff := cmp.Diff(want, w.list()); diff != "" {
					t.Error("the entries are others: ", diff)
				}
			}
		})
	}
}

// list returns the entries as a reader without a cache sees them.
func (w *ward) list() []entry.Item {
	w.t.Helper()
	cache := w.cache
	w.cache = w.t.TempDir()
	defer func() { w.cache = cache }()
	page, err := w.open().List(w.t.Context(), catalog.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return page.Items
}
