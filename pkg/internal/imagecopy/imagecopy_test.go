package imagecopy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Between repositories of all kinds, an image arrives with all that belongs to it.
func TestCopy(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() registry.Repository{
		"with the Referrers API":    func() registry.Repository { return newHost(t, true).open(t, "team/image") },
		"without the Referrers API": func() registry.Repository { return newHost(t, false).open(t, "team/image") },
		"layout":                    func() registry.Repository { return newLayout(t) },
	}
	for source, make := range kinds {
		from := make()
		s := pushSample(t, from)
		for name, make := range kinds {
			t.Run(source+" to "+name, func(t *testing.T) {
				to := make()
				var told int64
				c := New(Options{Catalog: catalog, Progress: func(moved int64) { told = moved }})
				got := copyImage(t, c, from, to, s.root.Digest)
				want := Result{Manifests: s.manifests, Blobs: 12, Referrers: s.attachments, Moved: got.Moved}
				if diff := cmp.Diff(want, got); diff != "" || got.Moved == 0 || told != got.Moved {
					t.Errorf("%d bytes moved, and %d told\n%s", got.Moved, told, diff)
				}
				if lacks := missing(t, from, to, s.root.Digest, true); len(lacks) > 0 {
					t.Errorf("missing: %s", strings.Join(lacks, "\n"))
				}
				if diff := cmp.Diff(Result{}, copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)); diff != "" {
					t.Errorf("again:\n%s", diff)
				}
			})
		}
	}
}

// What was copied costs one request, and what images share is looked for once.
func TestCopyRequests(t *testing.T) {
	t.Parallel()
	source, destination := newHost(t, true), newHost(t, true)
	from, to := source.open(t, "team/image"), destination.open(t, "copies/image")
	b := builder{t, from}
	c := New(Options{Catalog: catalog})
	first, second := b.manifest(ocispec.Manifest{}, "1", "base", "one"), b.manifest(ocispec.Manifest{}, "2", "base", "two")
	source.requests()
	copyImage(t, c, from, to, first.Digest)
	destination.requests()
	source.requests()
	copyImage(t, c, from, to, second.Digest)
	keep := referrertag.Keep(catalog, second.Digest)
	blob := "/v2/copies/image/blobs/"
	two := blob + b.blob("two").Digest.String()
	want := []string{"HEAD /v2/copies/image/manifests/" + keep, "HEAD " + two, "POST " + blob + "uploads/", "PUT", "PUT /v2/copies/image/manifests/" + keep}
	got := destination.requests()
	for n, asked := range got {
		if strings.HasPrefix(asked, "PUT ") && strings.Contains(asked, "/uploads/") {
			got[n] = "PUT"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of the destination, for a second image:\n%s", diff)
	}
	source.requests()
	copyImage(t, c, from, to, second.Digest)
	if diff := cmp.Diff([]string{"HEAD /v2/copies/image/manifests/" + keep}, append(source.requests(), destination.requests()...)); diff != "" {
		t.Errorf("again:\n%s", diff)
	}
}

// Wherever a copy ends, the tag that keeps an image says that all of it is there, and the
// next copy makes it whole.
func TestCopyBreaksAnywhere(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from := source.open(t, "team/image")
	s := pushSample(t, from)
	whole, broken := false, 0
	for left := 0; !whole; left++ {
		destination := newHost(t, left%10 != 0)
		to := destination.open(t, "copies/image")
		allowed := left
		destination.answer(func(w http.ResponseWriter, r *http.Request) bool {
			destination.mu.Lock()
			defer destination.mu.Unlock()
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return false
			}
			if allowed--; allowed >= 0 {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			return true
		})
		_, err := New(Options{Catalog: catalog}).Copy(t.Context(), from, to, s.root.Digest)
		destination.answer(nil)
		if whole = err == nil; !whole {
			broken++
		}
		for _, d := range []digest.Digest{s.root.Digest, s.arm.Digest} {
			if _, err := to.Resolve(t.Context(), referrertag.Keep(catalog, d)); err == nil {
				if lacks := missing(t, from, to, d, true); len(lacks) > 0 {
					t.Fatalf("after %d writes %s is kept, and missing: %s", left, d, strings.Join(lacks, "\n"))
				}
			}
		}
		if left%5 == 0 {
			copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)
			if lacks := missing(t, from, to, s.root.Digest, true); len(lacks) > 0 {
				t.Fatalf("after %d writes, and once more, missing: %s", left, strings.Join(lacks, "\n"))
			}
		}
	}
	if broken < 20 {
		t.Errorf("%d copies were broken off, want at least one for each of 20 writes", broken)
	}
}

// Copies of several images at once do not get into each other's way.
func TestCopiesAtOnce(t *testing.T) {
	t.Parallel()
	from, to := newHost(t, false).open(t, "team/image"), newHost(t, false).open(t, "copies/image")
	s := pushSample(t, from)
	c := New(Options{Catalog: catalog, Parallel: 2})
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := c.Copy(t.Context(), from, to, s.root.Digest)
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if lacks := missing(t, from, to, s.root.Digest, true); len(lacks) > 0 {
		t.Errorf("missing: %s", strings.Join(lacks, "\n"))
	}
}

// What the image lacks ends the copy, before the image is kept.
func TestCopyOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from := source.open(t, "team/image")
	s := pushSample(t, from)
	_, blob, err := from.Manifest(t.Context(), s.arm.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path   string
		status int
		want   string
	}{
		"the image":  {"/manifests/" + s.root.Digest.String(), 404, "not found"},
		"a platform": {"/manifests/" + s.arm.Digest.String(), 404, "not found"},
		"a layer":    {"/blobs/" + layerOf(t, blob, 1), 404, "not found"},
		"a refusal":  {"/blobs/" + layerOf(t, blob, 1), 403, "unauthorized"},
		"a failure":  {"/manifests/" + s.arm.Digest.String(), 500, "unreachable"},
	} {
		source.answer(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, tt.path) {
				w.WriteHeader(tt.status)
				return true
			}
			return false
		})
		to := newHost(t, true).open(t, "copies/image")
		if _, err := New(Options{Catalog: catalog}).Copy(t.Context(), from, to, s.root.Digest); kind(err) != tt.want {
			t.Errorf("%s: got %v, want it %s", name, err, tt.want)
		}
		tags, err := to.Tags(t.Context())
		if err != nil || slices.Contains(tags, referrertag.Keep(catalog, s.root.Digest)) {
			t.Errorf("%s: got the tags %v, %v, want that the image is not kept", name, tags, err)
		}
	}
	if _, err := New(Options{Catalog: catalog}).Copy(t.Context(), from, newLayout(t), "sha256:../x"); kind(err) != "invalid" {
		t.Errorf("no digest: got %v", err)
	}
}

// The empty configuration is the same everywhere, and not everywhere stored.
func TestCopyWithoutTheEmptyConfiguration(t *testing.T) {
	t.Parallel()
	source := newHost(t, true)
	from, to := source.open(t, "team/image"), newLayout(t)
	b := builder{t, from}
	root := b.manifest(ocispec.Manifest{}, "1", "layer")
	source.answer(func(w http.ResponseWriter, r *http.Request) bool {
		empty := strings.HasSuffix(r.URL.Path, "/blobs/"+ocispec.DescriptorEmptyJSON.Digest.String())
		if empty {
			w.WriteHeader(http.StatusNotFound)
		}
		return empty
	})
	copyImage(t, New(Options{Catalog: catalog}), from, to, root.Digest)
	if text, err := to.Blob(t.Context(), ocispec.DescriptorEmptyJSON); err != nil || string(text) != "{}" {
		t.Errorf("got %q, %v, want an empty object", text, err)
	}
}

// More than any image has is refused, and no index is read without end.
func TestCopyBounds(t *testing.T) {
	t.Parallel()
	from := newLayout(t)
	b := builder{t, from}
	deep := b.manifest(ocispec.Manifest{}, "", "base")
	for range maxDepth + 1 {
		deep = b.index("", deep)
	}
	var many []ocispec.Descriptor
	for n := range maxManifests {
		d := deep
		d.Digest = digest.FromString(fmt.Sprint(n))
		many = append(many, d)
	}
	for name, root := range map[string]ocispec.Descriptor{"deep": deep, "wide": b.index("", many...)} {
		if _, err := New(Options{Catalog: catalog}).Copy(t.Context(), from, newLayout(t), root.Digest); kind(err) != "malformed" {
			t.Errorf("%s: got %v, want a malformed one", name, err)
		}
	}
}
