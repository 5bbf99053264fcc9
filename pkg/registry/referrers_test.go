package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// subjectIn pushes an image to attach to.
func subjectIn(t *testing.T, repository Repository) ocispec.Descriptor {
	t.Helper()
	d, manifest := manifestOf(t, "subject", nil)
	if err := repository.PushBlob(t.Context(), ocispec.DescriptorEmptyJSON, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := repository.PushManifest(t.Context(), d, manifest, "subject"); err != nil {
		t.Fatal(err)
	}
	return d
}

func digests(all []ocispec.Descriptor) map[digest.Digest]bool {
	set := map[digest.Digest]bool{}
	for _, d := range all {
		set[d.Digest] = true
	}
	return set
}

func TestReferrers(t *testing.T) {
	for name, repository := range map[string]Repository{
		"with the API":    open(t, inProcess(t, true), quick()),
		"without the API": open(t, inProcess(t, false), quick()),
		"layout":          newLayout(t.TempDir()),
	} {
		t.Run(name, func(t *testing.T) {
			subject := subjectIn(t, repository)
			if got, err := repository.Referrers(t.Context(), subject); err != nil || len(got) != 0 {
				t.Fatalf("before: %v, %v", got, err)
			}
			stranger := describe(ocispec.MediaTypeImageManifest, []byte("{}"))
			d, manifest := manifestOf(t, "of another", &stranger)
			if err := repository.PushReferrer(t.Context(), d, manifest, stranger); err != nil {
				t.Fatal(err)
			}
			want := map[digest.Digest]bool{}
			for _, text := range []string{"a", "b", "a"} { // a twice
				d, manifest := manifestOf(t, text, &subject)
				if err := repository.PushReferrer(t.Context(), d, manifest, subject); err != nil {
					t.Fatal(err)
				}
				want[d.Digest] = true
			}
			got, err := repository.Referrers(t.Context(), subject)
			if diff := cmp.Diff(want, digests(got)); err != nil || diff != "" || len(got) != 2 {
				t.Errorf("%v, %v\n%s", got, err, diff)
			}
			// The in-process registry gives the configuration's type here.
			if name == "layout" && got[0].ArtifactType != "application/x.test" {
				t.Errorf("artifact type %s", got[0].ArtifactType)
			}
			if _, body, err := repository.Manifest(t.Context(), got[0].Digest.String()); err != nil || len(body) == 0 {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// Of many who ask at once, one finds out that there is no Referrers API; where it is not
// told, the others ask for themselves, all at once, and who gives up waits for nobody.
func TestReferrersAPIIsLookedForOnce(t *testing.T) {
	const many = 5
	for _, tt := range []struct {
		name         string
		status, want int
		took         time.Duration
	}{
		{"absent", http.StatusNotFound, 1, time.Second},
		{"refused", http.StatusForbidden, many, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				options := quick()
				options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					if !strings.Contains(r.URL.Path, "/referrers/") {
						return respond(r, http.StatusNotFound, http.NoBody), nil
					}
					select {
					case <-time.After(time.Second): // of the bubble
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
					asked.Add(1)
					return respond(r, tt.status, http.NoBody), nil
				})
				repository, begun := open(t, "registry.example.com", options), time.Now()
				var all sync.WaitGroup
				for n := range many {
					all.Go(func() {
						_, err := repository.Referrers(t.Context(), describe(ocispec.MediaTypeImageManifest, fmt.Append(nil, n)))
						if (err == nil) != (tt.status == http.StatusNotFound) {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := repository.Referrers(gone, ocispec.DescriptorEmptyJSON); err == nil || time.Since(begun) > 0 {
					t.Errorf("%v after %s, want an error at once", err, time.Since(begun))
				}
				all.Wait()
				if took := time.Since(begun); int(asked.Load()) != tt.want || took != tt.took {
					t.Errorf("asked %d times in %s, want %d in %s", asked.Load(), took, tt.want, tt.took)
				}
			})
		})
	}
}

// Another client that overwrites the fallback index with its own is noticed,
// whether it does so before we look for our referrer or just after.
func TestLostReferrerIsWrittenAgain(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		t.Run("after our "+method, func(t *testing.T) {
			registry := inProcess(t, false)
			plain := open(t, registry, quick())
			written, lost := false, false
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				forward(t, w, r, registry)
				if !strings.Contains(r.URL.Path, "/manifests/sha256-") {
					return
				}
				written = written || r.Method == http.MethodPut
				if written && !lost && r.Method == method {
					lost = true
					index := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
					if err := plain.PushManifest(r.Context(), describe(ocispec.MediaTypeImageIndex, index), index, path.Base(r.URL.Path)); err != nil {
						t.Error(err)
					}
				}
			}))
			t.Cleanup(proxy.Close)
			subject := subjectIn(t, plain)
			d, manifest := manifestOf(t, "a", &subject)
			if err := open(t, strings.TrimPrefix(proxy.URL, "http://"), quick()).PushReferrer(t.Context(), d, manifest, subject); err != nil {
				t.Fatal(err)
			}
			got, err := plain.Referrers(t.Context(), subject)
			if err != nil || !digests(got)[d.Digest] || !lost {
				t.Errorf("%v, %v; lost on the way: %t", got, err, lost)
			}
		})
	}
}

// A registry that takes a referrer and never lists it is not believed.
func TestReferrerThatIsNeverListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		puts := 0
		options := quick()
		options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut {
				puts++
				return respond(r, http.StatusCreated, http.NoBody), nil
			}
			response := respond(r, 200, strings.NewReader(`{"schemaVersion":2,"manifests":[]}`))
			response.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
			return response, nil
		})
		subject := describe(ocispec.MediaTypeImageManifest, []byte("{}"))
		d, manifest := manifestOf(t, "a", &subject)
		begun := time.Now()
		err := open(t, "registry.example.com", options).PushReferrer(t.Context(), d, manifest, subject)
		if took := time.Since(begun); kind(err) != "unreachable" || puts != listAttempts || took > 10*time.Second {
			t.Errorf("%v after %d attempts in %s", err, puts, took)
		}
	})
}
