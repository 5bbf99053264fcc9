package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What neither this reader nor a snapshot has comes from another copy of the catalog.
func TestRepairFromACopy(t *testing.T) {
	w := newWard(t, "a", "b", "gone")
	w.publish("a", "2")
	if _, err := w.open().Remove(t.Context(), "gone", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	want := w.list()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	w.remove(w.index()[w.tags("a")[0].String()])
	w.untag(w.tags("a")[1])
	w.untag(w.tags("b")[0])
	w.untag(w.tags("gone")[1])
	w.cache = t.TempDir() // a reader who never saw it
	for _, tt := range []struct {
		from []string
		want []string
	}{
		{nil, []string{"revision a damaged no"}},
		{[]string{"oci:" + copied}, []string{"revision a damaged can", "revision a lost can", "revision b lost can", "revision gone lost can"}},
	} {
		found, err := w.open().Examine(t.Context(), catalog.ExamineOptions{From: tt.from, NoAttach: true})
		if err != nil {
			t.Fatal(err)
		}
		got := states(found)
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("from %q: %s", tt.from, diff)
		}
		if err := found.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.mend()
	if diff := cmp.Diff(want, w.list()); diff != "" {
		t.Error("the entries are others: ", diff)
	}
	for from, kind := range map[string]error{"oci:" + w.dir: entry.ErrInvalid, "oci:" + t.TempDir(): entry.ErrNotFound, "not a reference": entry.ErrInvalid, "oci:" + copied + ":1": entry.ErrInvalid} {
		if _, err := w.open().Examine(t.Context(), catalog.ExamineOptions{From: []string{from}}); !isKind(err, kind) {
			t.Errorf("from %s: %v, want %v", from, err, kind)
		}
	}
}

// rebuilt examines and repairs the catalog from its images.
func (s *signedCatalog) rebuilt(options catalog.Options, unsigned bool) (*catalog.Examination, string) {
	s.t.Helper()
	var warnings []catalog.Warning
	options.Warn = func(w catalog.Warning) { warnings = append(warnings, w) }
	options.StateDir = s.t.TempDir()
	found, err := s.fresh(options).Examine(s.t.Context(), catalog.ExamineOptions{FromImages: []string{s.host + "/os/a", s.host + "/os/b"}, AllowUnsigned: unsigned})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := found.Repair(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return found, warningText(warnings)
}

// A catalog that is deleted whole comes back from its images, verified.
func TestALostCatalogIsRebuiltFromItsImages(t *testing.T) {
	for name, referrers := range map[string]bool{"api": true, "fallback": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSignedCatalog(t, referrers)
			s.publish(s.reader(), s.push("os/a", "9", "gone"), catalog.PublishOptions{Name: "gone", Sign: s.sign})
			if _, err := s.reader().Edit(t.Context(), "gone", entry.Change{AddTags: []string{"edited"}}, catalog.EditOptions{Sign: s.sign}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.reader().Remove(t.Context(), "gone", catalog.RemoveOptions{Sign: s.sign}); err != nil {
				t.Fatal(err)
			}
			before, err := s.reader().List(t.Context(), catalog.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			s.drop("team/catalog", func(string) bool { return true })
			found, warnings := s.rebuilt(catalog.Options{Policy: s.policy}, false)
			if found.Err() != nil || warnings != "" {
				t.Errorf("%v, findings %+v, warnings %s", found.Err(), found.Findings, warnings)
			}
			s.state = t.TempDir()
			after, err := s.fresh(catalog.Options{Policy: s.policy, StateDir: s.state}).List(t.Context(), catalog.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before.Items, after.Items); diff != "" {
				t.Error("the entries are others: ", diff)
			}
			history, err := s.reader().History(t.Context(), "gone")
			if err != nil || len(history) != 2 || history[1].Operation != "remove" {
				t.Errorf("what was removed has the history %+v, %v, want its publication and its removal", history, err)
			}
			s.mends()
		})
	}
}

// What somebody without a key attaches to an image is not taken, and named.
func TestForgedAttachmentsAreNotTaken(t *testing.T) {
	s := newSignedCatalog(t, true)
	other := s.open(catalog.Options{})
	image := s.push("os/a", "2", "forged")
	s.publish(other, image, catalog.PublishOptions{Name: "unsigned"})
	s.publish(other, s.push("os/a", "3", "stranger"), catalog.PublishOptions{Name: "stranger", Sign: team(t)})
	elsewhere, err := catalog.Open(s.host+"/other/catalog", catalog.Options{Registry: s.newClient(), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(elsewhere, s.push("os/a", "4", "elsewhere"), catalog.PublishOptions{Name: "elsewhere", Sign: s.sign})
	// The signed entry b, beside an image that is not its own, and one of the far future.
	s.attachRevision("os/a", "2", s.manifestOf("b"))
	s.attachRevision("os/a", "1", s.dated("a", "future", time.Now().Add(72*time.Hour)))
	alone := []string{s.host + "/os/a"}
	s.drop("team/catalog", func(string) bool { return true })
	found, warnings := s.rebuilt(catalog.Options{Policy: s.policy}, false)
	var names []string
	for _, f := range found.Findings {
		if f.What == "revision" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"unsigned", "stranger", "elsewhere", "future"} {
		if !strings.Contains(warnings, "not taken: "+name+".") {
			t.Errorf("%s is not named: %s", name, warnings)
		}
	}
	s.drop("team/catalog", func(tag string) bool { return strings.HasPrefix(tag, "b.") || strings.HasPrefix(tag, "_") })
	var said []catalog.Warning
	reader := s.fresh(catalog.Options{Policy: s.policy, StateDir: t.TempDir(), Warn: func(w catalog.Warning) { said = append(said, w) }})
	if found, err := reader.Examine(t.Context(), catalog.ExamineOptions{FromImages: alone}); err != nil || len(revisionsOf(found)) > 0 || !strings.Contains(warningText(said), "it is of another image") {
		t.Errorf("beside another image: %+v, %v, %s", found, err, warningText(said))
	}
	// Without a policy nothing is taken, unless that is meant; and what stands stays.
	if found, _ := s.rebuilt(catalog.Options{}, false); len(revisionsOf(found)) > 0 {
		t.Errorf("without a policy: %q", revisionsOf(found))
	}
	found, warnings = s.rebuilt(catalog.Options{}, true)
	if diff := cmp.Diff([]string{"b", "stranger", "unsigned"}, revisionsOf(found)); diff != "" {
		t.Error("with --allow-unsigned: ", diff)
	}
	if !strings.Contains(warnings, "not taken: future.") || !strings.Contains(warnings, "not taken: elsewhere.") {
		t.Errorf("with --allow-unsigned: %s", warnings)
	}
}

// revisionsOf returns the names of which a revision was found, each once.
func revisionsOf(found *catalog.Examination) (names []string) {
	for _, f := range found.Findings {
		if f.What == "revision" && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// manifestOf is the manifest of the revision of an entry.
func (s *signedCatalog) manifestOf(name string) []byte {
	s.t.Helper()
	_, manifest, err := s.catalogRepository().Manifest(s.t.Context(), strings.TrimPrefix(s.revisionOf(name), s.host+"/team/catalog:"))
	if err != nil {
		s.t.Fatal(err)
	}
	return manifest
}

// attachRevision attaches a revision to an image, whatever it is of.
func (s *signedCatalog) attachRevision(repository, tag string, manifest []byte) {
	s.t.Helper()
	to, subject := s.openImage(s.host + "/" + repository + ":" + tag)
	packed, err := revision.PackAttachment(manifest, s.host+"/team/catalog", subject)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, blob := range packed.Blobs {
		if err := to.PushBlob(s.t.Context(), blob.Descriptor, blob.Content); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := to.PushReferrer(s.t.Context(), packed.Descriptor, packed.Manifest, subject); err != nil {
		s.t.Fatal(err)
	}
}

// dated is the manifest of an entry with another name, as of a time.
func (s *signedCatalog) dated(of, name string, at time.Time) []byte {
	s.t.Helper()
	tag, _ := revision.ParseTag(strings.TrimPrefix(s.revisionOf(of), s.host+"/team/catalog:"))
	found, err := revision.Unpack(tag, s.manifestOf(of))
	if err != nil {
		s.t.Fatal(err)
	}
	document := *found.Document
	document.Name, document.PublishedAt = name, entry.NewTime(at)
	packed, err := revision.Pack(&document, revision.Seen{})
	if err != nil {
		s.t.Fatal(err)
	}
	return packed.Manifest
}

// A rule that only warns says of nobody that he is believed: a name that stands keeps
// its head, whatever is attached to its image.
func TestAWarningRuleTakesNothingForNamesThatStand(t *testing.T) {
	s := newSignedCatalog(t, true)
	s.attachRevision("os/a", "1", s.dated("a", "a", time.Now().Add(time.Hour)))
	warning, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{s.sign.Signer.PublicKey()}, Warn: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]catalog.Options{"no policy": {}, "a rule that warns": {Policy: warning}} {
		found, _ := s.rebuilt(options, true)
		if diff := cmp.Diff([]string(nil), revisionsOf(found)); diff != "" {
			t.Errorf("with %s: %s", name, diff)
		}
	}
}
