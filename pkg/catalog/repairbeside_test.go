package catalog_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// newest returns the last tag that begins so, and the digest that it names.
func (w *ward) newest(prefix string) (tag string, manifest digest.Digest) {
	w.t.Helper()
	for listed, d := range w.index() {
		if strings.HasPrefix(listed, prefix) && listed > tag {
			tag, manifest = listed, d
		}
	}
	if tag == "" {
		w.t.Fatalf("the catalog has no tag that begins with %s", prefix)
	}
	return tag, manifest
}

// layer is the blob that the manifest of a digest names first.
func (w *ward) layer(manifest digest.Digest) digest.Digest {
	w.t.Helper()
	var text struct {
		Layers []struct{ Digest digest.Digest }
	}
	w.read(w.blob(manifest), &text)
	return text.Layers[0].Digest
}

// A newest snapshot that cannot be read is found, and another one written in its place.
func TestADamagedSnapshotIsWrittenAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		damage func(w *ward, manifest digest.Digest)
	}{
		{"its manifest is altered", func(w *ward, manifest digest.Digest) { w.flip(manifest) }},
		{"its manifest is gone", func(w *ward, manifest digest.Digest) { w.remove(manifest) }},
		{"a segment is gone", func(w *ward, manifest digest.Digest) { w.remove(w.layer(manifest)) }},
		{"a segment is altered", func(w *ward, manifest digest.Digest) { w.flip(w.layer(manifest)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, "a", "b")
			w.examine()
			w.remove(w.document(w.tags("a")[0]))
			w.mend() // it writes a snapshot
			want := w.list()
			before, manifest := w.newest(revision.SnapshotName + ".")
			tt.damage(w, manifest)
			w.cache = t.TempDir() // of a reader that knows nothing of it
			found := w.examine()
			var snapshots []string
			for _, f := range found.Findings {
				if f.What == "snapshot" {
					snapshots = append(snapshots, f.Where+" "+f.State)
				}
			}
			if diff := cmp.Diff([]string{before + " damaged"}, snapshots); diff != "" {
				t.Fatal(diff)
			}
			w.mend()
			after, manifest := w.newest(revision.SnapshotName + ".")
			if after == before {
				t.Error("no other snapshot was written")
			}
			w.layer(manifest) // fails where it is not readable
			w.cache = t.TempDir()
			if again := w.examine(); len(again.Findings) > 0 {
				t.Errorf("another reader finds %q", states(again))
			}
			if diff := cmp.Diff(want, w.list()); diff != "" {
				t.Error("the entries are others: ", diff)
			}
		})
	}
}

// A backup file gives back a head that this reader never saw.
func TestALostHeadComesFromABackup(t *testing.T) {
	t.Parallel()
	w := newWard(t, "a", "b")
	w.publish("a", "2")
	want := w.list()
	path := filepath.Join(t.TempDir(), "catalog.tar")
	if _, err := w.open().Backup(t.Context(), path, catalog.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	head := w.tags("a")[1]
	manifest, document := w.index()[head.String()], w.document(head)
	w.untag(head)
	for _, d := range []digest.Digest{manifest, document} {
		_ = os.Remove(w.blob(d)) // where the deletion left it
	}
	w.cache = t.TempDir()
	examine := func() *catalog.Examination {
		t.Helper()
		found, err := w.open().Examine(t.Context(), catalog.ExamineOptions{LogOnly: true, From: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := examine()
	if diff := cmp.Diff([]string{"revision a lost can"}, states(found)); diff != "" {
		t.Fatal(diff)
	}
	if f := found.Findings[0]; f.From != path || f.Where != head.String() {
		t.Errorf("%s is mended from %q, want %s from %s", f.Where, f.From, head, path)
	}
	if err := found.Repair(t.Context()); err != nil || found.Err() != nil {
		t.Fatalf("repair: %v, %v: %+v", err, found.Err(), found.Findings)
	}
	before := w.files()
	again := examine()
	if err := again.Repair(t.Context()); err != nil || len(again.Findings) > 0 {
		t.Errorf("the second repair: %v, %q", err, states(again))
	}
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Error("the second repair wrote: ", diff)
	}
	if diff := cmp.Diff(want, w.list()); diff != "" {
		t.Error("the entries are others: ", diff)
	}
}

// What is beside the log and cannot be read is named, with what to do about it.
func TestDamageBesideTheLogIsNamed(t *testing.T) {
	t.Parallel()
	damages := map[string]func(w *ward, manifest digest.Digest){
		"the manifest is gone":    (*ward).remove,
		"the manifest is altered": (*ward).flip,
		"the content is gone":     func(w *ward, manifest digest.Digest) { w.remove(w.layer(manifest)) },
		"the content is altered":  func(w *ward, manifest digest.Digest) { w.flip(w.layer(manifest)) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, "a")
			err := w.open().ForServer().SaveStatuses(t.Context(), func(map[string]*entry.Status) []*entry.Status {
				return []*entry.Status{statusOf(w.list()[0], entry.PhaseFailed)}
			})
			if err == nil {
				err = catalog.WriteLocations(w.open(), t.Context(), []revision.Location{{Prefix: "a.example/", At: []string{"b.corp/"}}}, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if whole := w.examine(); len(whole.Findings) > 0 {
				t.Fatalf("before the damage: %q", states(whole))
			}
			advice := map[string]string{"status": "the next probe", "locations": "copy the catalog here once more"}
			places := map[string]string{}
			for what := range advice {
				tag, manifest := w.newest("_" + what + ".")
				places[what] = tag
				damage(w, manifest)
			}
			before := w.files()
			found := w.examine()
			if err := found.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			named := map[string]string{}
			for _, f := range found.Findings {
				if advice[f.What] == "" {
					continue // an altered manifest may have been a signature of anything
				}
				named[f.What] = f.Where
				if f.State != "damaged" || f.Mended || !strings.Contains(f.Advice, advice[f.What]) || !strings.Contains(f.Advice, "delete the tag") {
					t.Errorf("the finding is %+v", f)
				}
			}
			if diff := cmp.Diff(places, named); diff != "" {
				t.Error(diff)
			}
			if found.Err() == nil {
				t.Error("the catalog counts as whole")
			}
			if !maps.Equal(before, w.files()) {
				t.Error("the repair wrote something")
			}
		})
	}
}
