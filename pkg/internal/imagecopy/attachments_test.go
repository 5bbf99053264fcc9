package imagecopy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What was attached after an image had been copied is copied where that is asked for,
// at every depth, and nothing else.
func TestRefresh(t *testing.T) {
	t.Parallel()
	for name, to := range map[string]registry.Repository{
		"with the Referrers API": newHost(t, true).open(t, "copies/image"), "without": newHost(t, false).open(t, "copies/image"), "layout": newLayout(t),
	} {
		from := newHost(t, true).open(t, "team/image")
		s := pushSample(t, from)
		copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)
		refresh := func(want int, bytes int64) {
			t.Helper()
			got := copyImage(t, New(Options{Catalog: catalog, Refresh: true}), from, to, s.root.Digest)
			if diff := cmp.Diff(Result{Referrers: want, Blobs: got.Blobs, Moved: bytes}, got); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
			if lacks := missing(t, from, to, s.root.Digest, true); want > 0 && len(lacks) > 0 {
				t.Errorf("%s: missing: %s", name, strings.Join(lacks, "\n"))
			}
		}
		refresh(0, 0)
		b := builder{t, from}
		b.referrer("late", s.arm, "late 1")
		b.referrer("late", s.sbom, "late 2")
		b.manifest(ocispec.Manifest{}, referrertag.Index(s.arm.Digest)+".sig", "late 3")
		if got := copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest); got.Referrers != 0 {
			t.Errorf("%s: got %d attachments copied, which nobody asked for", name, got.Referrers)
		}
		refresh(3, 18)
		refresh(0, 0)
	}
}

// Attachments may have attachments, and each manifest many: of one image no more are
// copied than are allowed, and the image is named.
func TestAttachmentsOfAnImageAreBounded(t *testing.T) {
	t.Parallel()
	from := newHost(t, true).open(t, "team/image")
	s := pushSample(t, from)
	b := builder{t, from}
	for i := range 4 {
		above := b.referrer("one", s.arm, strings.Repeat("a", i+1))
		b.referrer("two", above, strings.Repeat("b", i+1))
	}
	all := copyImage(t, New(Options{Catalog: catalog}), from, newLayout(t), s.root.Digest).Referrers
	for most, want := range map[int]int{5: 5, all - 1: all - 1, all: all} {
		c := New(Options{Catalog: catalog})
		c.attachments = most
		got, err := c.Copy(t.Context(), from, newLayout(t), s.root.Digest)
		warned := strings.Join(got.Warnings, "\n")
		if err != nil || got.Referrers != want || (most < all) != strings.Contains(warned, s.root.Digest.String()+" has more attachments than the ") {
			t.Errorf("at most %d of %d: %d were copied, %v, warned %q", most, all, got.Referrers, err, warned)
		}
	}
	if all <= 8 {
		t.Errorf("the image has %d attachments, want some of its own beside the 8", all)
	}
}

// What a source does not say, or has lost, of what belongs to an image is a warning.
func TestAttachmentsThatCannotBeCopied(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from := source.open(t, "team/image")
	b := builder{t, from}
	root := b.manifest(ocispec.Manifest{}, "1", "layer")
	lost := b.referrer("lost", root, "a layer that is lost")
	b.referrer("sbom", root, "sbom")
	layer := digest.FromString("a layer that is lost").String()
	for name, tt := range map[string]struct {
		path      string
		status    int
		want      string // of the warning
		referrers int
	}{
		"the list is refused":   {"/referrers/" + root.Digest.String(), 401, "what refers to " + root.Digest.String(), 0},
		"the list fails":        {"/referrers/" + root.Digest.String(), 500, "what refers to " + root.Digest.String(), 0},
		"the tags are refused":  {"/tags/list", 403, "the tags of the source", 2},
		"a manifest is missing": {"/manifests/" + lost.Digest.String(), 404, lost.Digest.String(), 1},
		"a blob is missing":     {"/blobs/" + layer, 404, lost.Digest.String(), 1},
		"nothing is":            {"/nothing", 404, "", 2},
		"there is no such API":  {"/referrers/" + root.Digest.String(), 405, "", 0},
	} {
		source.answer(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, tt.path) {
				return false
			}
			w.WriteHeader(tt.status)
			return true
		})
		from, to := source.open(t, "team/image"), newLayout(t)
		got := copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest)
		said := strings.Join(got.Warnings, "\n")
		if got.Referrers != tt.referrers || tt.want == "" && said != "" || !strings.Contains(said, tt.want) || strings.Count(said, "\n") > 0 {
			t.Errorf("%s: got %d referrers, and the warnings %q, want %d and one with %q", name, got.Referrers, said, tt.referrers, tt.want)
		}
		if found, err := to.Resolve(t.Context(), referrertag.Keep(catalog, root.Digest)); err != nil || found.Digest != root.Digest {
			t.Errorf("%s: got %v, want that the image is kept", name, err)
		}
	}
}

// A transport that fails says nothing of an attachment: the image is not done.
func TestAttachmentsThatFail(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from := source.open(t, "team/image")
	b := builder{t, from}
	root := b.manifest(ocispec.Manifest{}, "1", "layer")
	sbom := b.referrer("sbom", root, "sbom")
	source.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, sbom.Digest.String()) && strings.Contains(r.URL.Path, "/manifests/") {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
	to := newLayout(t)
	if _, err := New(Options{Catalog: catalog}).Copy(t.Context(), from, to, root.Digest); kind(err) != "unreachable" {
		t.Errorf("got %v, want an unreachable one", err)
	}
	if tags, err := to.Tags(t.Context()); err != nil || len(tags) > 0 {
		t.Errorf("got the tags %v, %v, want none: nothing is kept", tags, err)
	}
}

// A list may name anything: what refers to something else is no referrer.
func TestReferrersOfSomethingElse(t *testing.T) {
	t.Parallel()
	from, to := newHost(t, false).open(t, "team/image"), newHost(t, true).open(t, "copies/image")
	b := builder{t, from}
	root, other := b.manifest(ocispec.Manifest{}, "1", "one"), b.manifest(ocispec.Manifest{}, "2", "two")
	stranger, sbom := b.referrer("sbom", other, "of the other"), b.referrer("sbom", root, "sbom")
	b.index(referrertag.Index(root.Digest), stranger, other, sbom)
	got := copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest)
	if diff := cmp.Diff([]string{sbom.Digest.String()}, digests(t, to, root)); diff != "" || got.Referrers != 1 || len(got.Warnings) > 0 {
		t.Errorf("got %+v\n%s", got, diff)
	}
}

// A signature tag gets what is new, and loses nothing.
func TestSignatureTags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		ours, theirs  []string
		copied, warns bool
	}{
		{"nothing is there", []string{"a"}, nil, true, false},
		{"the same is there", []string{"a"}, []string{"a"}, false, false},
		{"one is new", []string{"a", "b"}, []string{"a"}, true, false},
		{"one is there besides", []string{"a"}, []string{"b", "a"}, false, false},
		{"each has its own", []string{"a", "b"}, []string{"b", "c"}, false, true},
	} {
		from, to := newHost(t, true).open(t, "team/image"), newHost(t, true).open(t, "copies/image")
		b, there := builder{t, from}, builder{t, to}
		root := b.manifest(ocispec.Manifest{}, "1", "layer")
		tag := referrertag.Index(root.Digest) + ".sig"
		want := b.manifest(ocispec.Manifest{}, tag, tt.ours...)
		if tt.theirs != nil {
			theirs := there.manifest(ocispec.Manifest{}, tag, tt.theirs...)
			if !tt.copied {
				want = theirs
			}
		}
		got := copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest)
		found, err := to.Resolve(t.Context(), tag)
		if err != nil || found.Digest != want.Digest || got.Referrers == 1 != tt.copied || len(got.Warnings) == 1 != tt.warns {
			t.Errorf("%s: got %s, %v, and %+v", tt.name, found.Digest, err, got)
		}
	}
}

// Signature tags that lead to each other, or to the image, are each followed once.
func TestSignatureTagsInACircle(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from, to := source.open(t, "team/image"), newHost(t, true).open(t, "copies/image")
	b := builder{t, from}
	root, other := b.manifest(ocispec.Manifest{}, "1", "one"), b.manifest(ocispec.Manifest{}, "2", "two")
	b.manifest(ocispec.Manifest{}, referrertag.Index(root.Digest)+".sig", "two")
	b.manifest(ocispec.Manifest{}, referrertag.Index(other.Digest)+".sig", "one")
	b.manifest(ocispec.Manifest{}, referrertag.Index(root.Digest)+".att", "one")
	source.requests()
	if got := copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest); got.Referrers != 3 || got.Manifests != 1 {
		t.Errorf("got %+v, want one manifest and three attachments", got)
	}
	resolved := map[string]int{}
	for _, asked := range source.requests() {
		if strings.HasPrefix(asked, "HEAD ") {
			resolved[asked]++
		}
	}
	for asked, times := range resolved {
		if times > 1 {
			t.Errorf("%s was asked for %d times, want once", asked, times)
		}
	}
}

// Where the destination has no Referrers API, each referrer has a tag of the catalog's.
func TestReferrersHaveTheirOwnTag(t *testing.T) {
	t.Parallel()
	from, to := newHost(t, true).open(t, "team/image"), newHost(t, false).open(t, "copies/image")
	s := pushSample(t, from)
	copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)
	if found, err := to.Resolve(t.Context(), referrertag.Keep(catalog, s.sbom.Digest)); err != nil || found.Digest != s.sbom.Digest {
		t.Errorf("got %s, %v, want the SBOM", found.Digest, err)
	}
}

// Some registries refuse an artifact whose subject they do not have.
func TestSubjectsComeFirst(t *testing.T) {
	t.Parallel()
	destination := newHost(t, true)
	from, to := newHost(t, true).open(t, "team/image"), destination.open(t, "copies/image")
	s := pushSample(t, from)
	var mu sync.Mutex
	there := map[digest.Digest]bool{}
	destination.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		text, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(text))
		var said manifest
		if err == nil {
			err = json.Unmarshal(text, &said)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil || said.Subject != nil && !there[said.Subject.Digest] {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		there[digest.FromBytes(text)] = true
		return false
	})
	got := copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)
	if got.Referrers != s.attachments || len(got.Warnings) > 0 {
		t.Errorf("got %+v, want %d attachments", got, s.attachments)
	}
}

// An image that is made of a revision of a catalog brings nothing that is attached to it:
// where the catalog is in the same repository, that would count as its signatures.
func TestRevisionsBringNoSignatures(t *testing.T) {
	t.Parallel()
	from := newHost(t, true).open(t, "team/image")
	b := builder{t, from}
	revision := b.manifest(ocispec.Manifest{ArtifactType: "application/vnd.caib.catalog.entry.v1+json"}, "", "entry")
	b.referrer("forged", revision, "forged signature")
	b.manifest(ocispec.Manifest{}, referrertag.Index(revision.Digest)+".sig", "forged signature, too")
	for name, root := range map[string]ocispec.Descriptor{"itself": revision, "below an index": b.index("", revision)} {
		to := newLayout(t)
		got := copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest)
		tags, err := to.Tags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Referrers > 0 || len(digests(t, to, plain(revision))) > 0 || strings.Contains(strings.Join(tags, " "), ".sig") {
			t.Errorf("%s: %+v, tags %v, want nothing attached", name, got, tags)
		}
	}
}
