package e2e

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// shownCopy is what a source shows, and a copy of it has to.
type shownCopy struct {
	items   map[string]map[string]any
	history any
	pulled  map[string]map[string]string // files, of one entry of each kind
}

// show reads all of it, with the eyes of a reader that has seen nothing yet.
func (w *world) show(public string) (s shownCopy) {
	w.t.Helper()
	s = shownCopy{items: w.items(public), history: w.history(public), pulled: map[string]map[string]string{}}
	for _, i := range []int{4, 5} {
		s.pulled[entryName(i)] = w.pulled(entryName(i), public)
	}
	return s
}

// same checks that a copy shows what its source showed, and is whole.
func (w *world) same(public string, want shownCopy) {
	w.t.Helper()
	w.shows(public, want)
	w.verified(public)
}

// verified checks that all of a catalog is whole.
func (w *world) verified(public string) {
	w.t.Helper()
	w.elsewhere().ok("catalog", "verify", "--all", "--key", public, "--timeout", "10m")
}

// shows checks that a copy shows what its source showed.
func (w *world) shows(public string, want shownCopy) {
	w.t.Helper()
	got := w.show(public)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want.items)), slices.Sorted(maps.Keys(got.items))); diff != "" {
		w.t.Fatalf("names (-source +copy):\n%s", diff)
	}
	for name, item := range want.items {
		if diff := cmp.Diff(item, got.items[name]); diff != "" {
			w.t.Errorf("%s (-source +copy):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(want.history, got.history); diff != "" {
		w.t.Errorf("history (-source +copy):\n%.4000s", diff)
	}
	if diff := cmp.Diff(want.pulled, got.pulled); diff != "" {
		w.t.Errorf("what is pulled (-source +copy):\n%.4000s", diff)
	}
}

// copyTo copies a catalog, and returns what the command says of it.
func (w *world) copyTo(to string, flags ...string) (result catalog.CopyResult) {
	w.t.Helper()
	other := w.elsewhere()
	other.env = append(other.env, "TMPDIR="+emptyDir(w.t))
	args := append([]string{"catalog", "copy", w.on.catalog, to, "-o", "json", "--timeout", "10m"}, flags...)
	fromJSON(w.t, other.ok(args...).Stdout, &result)
	return result
}

// What is copied stands alone: with the source switched off, a reader sees the same
// entries and the same history, verified, and has the same images. A copy costs the
// source little, and the next one sends what is new.
func TestCopyStandsAlone(t *testing.T) {
	t.Parallel()
	s := newSource(t, "distribution-3.1")
	entries := tenth(1000)
	s.fill(0, entries-entryKinds-1)
	s.fill(entries-entryKinds-1, entries-entryKinds) // alone: no other publication outruns the snapshot that is due
	s.costs()
	to := newCounted(t, "ggcr")
	on := to.target
	on.catalog = to.address + "/mirror/catalog"
	s.copyTo(on.catalog)
	s.again(to, on.catalog, entries-entryKinds, entryKinds)
	want := s.show(s.public)
	if got := entries / entryKinds * (entryKinds - 1); len(want.items) != got {
		t.Fatalf("%d entries at the source, want %d", len(want.items), got)
	}
	s.of.stop()
	copied := newWorld(t, on)
	copied.same(s.public, want)
	readByOthers(t, copied, to.address, want)
	cosignsVerify(t, copied, s.public, want)
}

// The same by way of a directory or a file, as it is carried to a network that reaches
// nothing else. On the way in and out nothing is written beside.
func TestCarriedAcross(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, tenth(500))
	want := s.show(s.public)
	dir, file := filepath.Join(t.TempDir(), "catalog"), filepath.Join(t.TempDir(), "catalog.tar.zst")
	s.copyTo("oci:" + dir)
	alone := s.elsewhere()
	alone.env = append(alone.env, "TMPDIR="+emptyDir(t))
	alone.ok("catalog", "backup", s.on.catalog, file, "--timeout", "10m")
	s.of.stop()
	layout := newWorld(t, target{catalog: "oci:" + dir})
	layout.same(s.public, want)
	for name, carried := range map[string]func(to string){
		"directory": func(to string) { layout.copyTo(to) },
		"file": func(to string) {
			alone.ok("catalog", "restore", file, to, "--policy", s.policy(), "--timeout", "10m")
		},
	} {
		to := newCounted(t, "distribution-3.1")
		on := to.target
		on.catalog = to.address + "/mirror/catalog"
		carried(on.catalog)
		t.Logf("from a %s", name)
		copied := newWorld(t, on)
		copied.same(s.public, want)
		readByOthers(t, copied, to.address, want)
	}
}

// readByOthers reads what is copied with the tools of others.
func readByOthers(t *testing.T, w *world, host string, want shownCopy) {
	t.Helper()
	tool := &workshop{t: t, dir: t.TempDir(), host: host}
	for _, i := range []int{3, 4, 5, 7} {
		item := want.items[entryName(i)]
		image := host + "/mirror/os/" + entryName(i) + "@" + item["digest"].(string)
		tool.skopeo("copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false", "docker://"+image, "dir:"+filepath.Join(tool.dir, entryName(i)))
		tool.oras("copy", "--from-plain-http", "--to-oci-layout", image, filepath.Join(tool.dir, "layout")+":"+entryName(i))
		if i == 3 { // the file, the entry and its signatures
			if found := tool.discovered("--plain-http", image); len(found) != 3 {
				t.Errorf("oras discovers %d artifacts, want 3", len(found))
			}
		}
	}
}

// cosignsVerify has both cosigns verify the signatures of copied revisions.
func cosignsVerify(t *testing.T, w *world, public string, want shownCopy) {
	t.Helper()
	c := newCosigns(t)
	for format, i := range map[string]int{"bundle": 2, "legacy": 6} {
		for program, args := range c.verifications(format, public) {
			args = append(args, w.on.catalog+"@"+want.items[entryName(i)]["revision"].(string))
			if result := tools.Run(t, []string{"HOME=" + c.dir}, program, args...); result.Code != 0 {
				t.Errorf("%s %v: exit code %d\n%s", filepath.Base(program), args, result.Code, result.Stderr)
			}
		}
	}
}
