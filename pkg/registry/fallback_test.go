package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// before stands before a registry and answers some requests itself.
func before(t *testing.T, registry string, instead func(w http.ResponseWriter, r *http.Request) bool) *script {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r) {
			forward(t, w, r, registry)
		}
	})
}

func attach(t *testing.T, repository Repository, text string, subject ocispec.Descriptor) (ocispec.Descriptor, error) {
	t.Helper()
	d, manifest := manifestOf(t, text, &subject)
	return d, repository.PushReferrer(t.Context(), d, manifest, subject)
}

// D1: the type of a list of referrers is its members' to say; a 200 is never
// "there is no such list".
func TestTypesOfReferrers(t *testing.T) {
	registry := inProcess(t, true)
	plain := open(t, registry, quick())
	subject := subjectIn(t, plain)
	d, err := attach(t, plain, "a", subject)
	if err != nil {
		t.Fatal(err)
	}
	for mediaType, want := range map[string]string{
		ocispec.MediaTypeImageIndex: "", ocispec.MediaTypeImageIndex + "; charset=utf-8": "", "application/json": "",
		"Application/VND.oci.image.index.v1+JSON": "", "text/plain": "", "": "", "text/html": "unreachable",
	} {
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			recorded := httptest.NewRecorder()
			forward(t, recorded, r, registry)
			w.Header()["Content-Type"] = []string{mediaType}
			w.Write(recorded.Body.Bytes())
			return true
		})
		list, err := open(t, s.host, quick()).Referrers(t.Context(), subject)
		if kind(err) != want || (want == "" && !digests(list)[d.Digest]) {
			t.Errorf("type %q: %v, %v; want %q", mediaType, list, err, want)
		}
	}
	manifest, body := manifestOf(t, "x", nil)
	for name, text := range map[string]string{
		"a manifest":                string(body),
		"another JSON":              `{"referrers":[]}`,
		"an index of another kind":  `{"mediaType":"application/x.index","manifests":[]}`,
		"manifests without digests": `{"manifests":[{}]}`,
		"digests that are none":     `{"manifests":[{"digest":"sha256:../x"}]}`,
	} {
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			isList := strings.Contains(r.URL.Path, "/referrers/")
			if isList {
				answer(w, 200, manifest.MediaType, text)
			}
			return isList
		})
		if list, err := open(t, s.host, quick()).Referrers(t.Context(), subject); kind(err) != "unreachable" || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// D8: what an older registry says of the Referrers API lets writers write the
// index under the fallback tag, and readers read it; that there is none tells
// readers nothing, unless the API was a 404.
func TestRegistriesWithoutTheAPI(t *testing.T) {
	for _, tt := range []struct {
		status    int
		empty     string // what a reader says before there is an index
		fallsBack bool
	}{
		{404, "", true}, {400, "unreachable", true}, {405, "unreachable", true}, {406, "unreachable", true}, {501, "unreachable", true},
		{401, "unauthorized", false}, {403, "unauthorized", false}, {410, "unreachable", false}, {500, "unreachable", false}, {429, "unreachable", false},
	} {
		registry := inProcess(t, false)
		plain := open(t, registry, quick())
		subject := subjectIn(t, plain)
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			isList := strings.Contains(r.URL.Path, "/referrers/")
			if isList {
				answer(w, tt.status, "text/plain", "no")
			}
			return isList
		})
		repository := open(t, s.host, quick())
		if list, err := repository.Referrers(t.Context(), subject); kind(err) != tt.empty || len(list) > 0 {
			t.Errorf("%d: before: %v, %v; want %q", tt.status, list, err, tt.empty)
		}
		d, err := attach(t, repository, "a", subject)
		if (err == nil) != tt.fallsBack {
			t.Errorf("%d: attach: %v", tt.status, err)
		}
		if list, err := open(t, s.host, quick()).Referrers(t.Context(), subject); tt.fallsBack && (err != nil || !digests(list)[d.Digest]) {
			t.Errorf("%d: after: %v, %v", tt.status, list, err)
		}
	}
}

// One 404 of the API hides what it lists for a while, and no longer.
func TestReferrersAPIIsLookedForAgain(t *testing.T) {
	asked := 0
	d, _ := manifestOf(t, "m", nil)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			answer(w, 404, "application/json", `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
			return
		}
		if asked++; asked == 1 {
			w.WriteHeader(404)
			return
		}
		answer(w, 200, "application/json", fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":2}]}`, d.MediaType, d.Digest))
	})
	repository := open(t, s.host, quick())
	clock := time.Unix(1_000_000_000, 0)
	repository.(*remoteRepository).referrers.now = func() time.Time { return clock }
	for _, tt := range []struct {
		after        time.Duration
		found, asked int
	}{{0, 0, 1}, {apiRecheck - 1, 0, 1}, {1, 1, 2}, {0, 1, 3}} {
		clock = clock.Add(tt.after)
		list, err := repository.Referrers(t.Context(), ocispec.DescriptorEmptyJSON)
		if err != nil || len(list) != tt.found || asked != tt.asked {
			t.Errorf("got %d referrers (%v), the API asked %d times; want %d and %d", len(list), err, asked, tt.found, tt.asked)
		}
	}
}

// An API that answered before and is a 404 now says nothing.
func TestReferrersAPIThatFlaps(t *testing.T) {
	gone := false
	registry := inProcess(t, true)
	subject := subjectIn(t, open(t, registry, quick()))
	s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
		if gone && strings.Contains(r.URL.Path, "/referrers/") {
			answer(w, 404, "text/plain", "404 page not found")
			return true
		}
		return false
	})
	repository := open(t, s.host, quick())
	for _, want := range []string{"", "unreachable"} {
		if list, err := repository.Referrers(t.Context(), subject); kind(err) != want {
			t.Errorf("gone %t: %v, %v", gone, list, err)
		}
		gone = true
	}
}

// D8: a registry that answers 403 for a tag that does not exist can be written
// to, as long as the subject can be read; readers learn nothing from it.
func TestForbiddenFallbackTag(t *testing.T) {
	for _, readable := range []bool{true, false} {
		registry := inProcess(t, false)
		plain := open(t, registry, quick())
		subject := subjectIn(t, plain)
		written := false
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			isTag := strings.Contains(r.URL.Path, "/manifests/sha256-")
			written = written || isTag && r.Method == http.MethodPut
			if refuse := isTag && !written || !readable && strings.HasSuffix(r.URL.Path, subject.Digest.String()); !refuse {
				return false
			}
			answer(w, 403, "application/json", `{"errors":[{"status":403,"message":"Forbidden"}]}`)
			return true
		})
		repository := open(t, s.host, quick())
		if list, err := repository.Referrers(t.Context(), subject); kind(err) != "unauthorized" {
			t.Errorf("readable %t: read: %v, %v", readable, list, err)
		}
		want := map[bool]string{true: "", false: "unauthorized"}[readable]
		if _, err := attach(t, repository, "a", subject); kind(err) != want {
			t.Errorf("readable %t: attach: %v, want %q", readable, err, want)
		}
	}
}

// D9: an index that lists what was collected is mended by who next writes it,
// and what is there stays listed.
func TestDanglingReferrers(t *testing.T) {
	for _, code := range []string{"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"} {
		registry := inProcess(t, false)
		plain := open(t, registry, quick())
		subject := subjectIn(t, plain)
		kept, err := attach(t, plain, "kept", subject)
		if err != nil {
			t.Fatal(err)
		}
		gone, collected := manifestOf(t, "collected", nil)
		if err := plain.PushManifest(t.Context(), gone, collected, gone.Digest.String()); err != nil {
			t.Fatal(err)
		}
		index, err := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{gone, kept}})
		if err != nil {
			t.Fatal(err)
		}
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/sha256-") {
				return false
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if strings.Contains(string(body), gone.Digest.String()) {
				answer(w, 400, "application/json", `{"errors":[{"code":"`+code+`","detail":{"digest":"`+gone.Digest.String()+`"}}]}`)
				return true
			}
			return false
		})
		if err := plain.PushManifest(t.Context(), describe(ocispec.MediaTypeImageIndex, index), index, referrertag.Index(subject.Digest)); err != nil {
			t.Fatal(err)
		}
		if err := plain.(*remoteRepository).delete(t.Context(), gone.Digest.String()); err != nil {
			t.Fatal(err)
		}
		added, err := attach(t, open(t, s.host, quick()), "new", subject)
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		list, err := plain.Referrers(t.Context(), subject)
		if got := digests(list); err != nil || len(got) != 2 || !got[kept.Digest] || !got[added.Digest] {
			t.Errorf("%s: %v, %v", code, list, err)
		}
	}
}

// What is listed and gone is written again, whoever lists it.
func TestListedAndGone(t *testing.T) {
	for _, api := range []bool{true, false} {
		registry := inProcess(t, api)
		plain := open(t, registry, quick())
		subject := subjectIn(t, plain)
		d, err := attach(t, plain, "a", subject)
		if err != nil {
			t.Fatal(err)
		}
		lists := httptest.NewRecorder()
		forward(t, lists, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/team/image/referrers/"+subject.Digest.String(), nil), registry)
		if err := plain.(*remoteRepository).delete(t.Context(), d.Digest.String()); err != nil {
			t.Fatal(err)
		}
		s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
			isList := api && strings.Contains(r.URL.Path, "/referrers/")
			if isList { // as it was
				answer(w, lists.Code, ocispec.MediaTypeImageIndex, lists.Body.String())
			}
			return isList
		})
		if _, err := attach(t, open(t, s.host, quick()), "a", subject); err != nil {
			t.Errorf("API %t: %v", api, err)
		}
		if _, err := plain.Resolve(t.Context(), d.Digest.String()); err != nil {
			t.Errorf("API %t: what was gone is not written again: %v", api, err)
		}
	}
}

// D10: without the Referrers API each referrer has a tag of its own, which
// names the catalog that it is for.
func TestReferrersHaveTags(t *testing.T) {
	for _, api := range []bool{true, false} {
		registry := inProcess(t, api)
		repository := open(t, registry, quick())
		subject := subjectIn(t, repository)
		d, err := attach(t, repository, "a", subject)
		if err != nil {
			t.Fatal(err)
		}
		e, manifest := manifestOf(t, "b", &subject)
		catalogs := []string{"registry.example.com/team/catalog", "REGISTRY.example.com:443/team/catalog"}
		for _, catalog := range catalogs {
			ref, err := ParseReference(catalog)
			if err != nil {
				t.Fatal(err)
			}
			if err := repository.PushReferrer(referrertag.WithCatalog(context.WithoutCancel(t.Context()), ref.Normal().Base()), e, manifest, subject); err != nil {
				t.Fatal(err)
			}
		}
		tags := sortedTags(t, repository)
		tags = slices.DeleteFunc(tags, func(tag string) bool { return !strings.HasPrefix(tag, "caib.") })
		if api && len(tags) > 0 {
			t.Errorf("with the API: %v", tags)
		}
		if api {
			continue
		}
		pattern := regexp.MustCompile(fmt.Sprintf(`^caib\.(%s|%s)\.[0-9a-f]{8}$`, d.Digest.Encoded()[:32], e.Digest.Encoded()[:32]))
		if len(tags) != 2 || !pattern.MatchString(tags[0]) || !pattern.MatchString(tags[1]) || tags[0][38:] == tags[1][38:] {
			t.Errorf("tags %v", tags)
		}
	}
}

// Many writers in one process take turns, and lose nothing.
func TestWritersInOneProcess(t *testing.T) {
	registry := inProcess(t, false)
	repository := open(t, registry, quick())
	subject := subjectIn(t, repository)
	errs := make(chan error, 12)
	for i := range cap(errs) {
		d, manifest := manifestOf(t, fmt.Sprint(i), &subject)
		go func() { errs <- repository.PushReferrer(t.Context(), d, manifest, subject) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if list, err := repository.Referrers(t.Context(), subject); err != nil || len(list) != cap(errs) {
		t.Errorf("%d of %d, %v", len(list), cap(errs), err)
	}
}

// D14: any success of a write is one, if the registry has afterwards what it was
// sent.
func TestWritesThatAnswerOtherwise(t *testing.T) {
	for _, status := range []int{200, 202, 203, 204} {
		for _, stores := range []bool{true, false} {
			registry := inProcess(t, true)
			plain := open(t, registry, quick())
			subjectIn(t, plain)
			s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut {
					forward(t, w, inTwoSteps(r), registry)
					return true
				}
				if stores {
					forward(t, httptest.NewRecorder(), r, registry)
				}
				w.WriteHeader(status)
				return true
			})
			d, manifest := manifestOf(t, "m", nil)
			repository := open(t, s.host, quick())
			blob := describe("application/x", []byte("blob"))
			want := map[bool]string{true: "", false: "unreachable"}[stores]
			if err := repository.PushBlob(t.Context(), blob, []byte("blob")); kind(err) != want {
				t.Errorf("%d, stored %t: blob: %v, want %q", status, stores, err, want)
			}
			if err := repository.PushManifest(t.Context(), d, manifest, "t"); kind(err) != want {
				t.Errorf("%d, stored %t: %v, want %q", status, stores, err, want)
			}
		}
	}
}

// A write that a redirect made something else of is none.
func TestWritesThatAreRedirected(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"http://" + elsewhere.host + "/x", "/moved"} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/moved" {
					w.WriteHeader(201)
					return
				}
				http.Redirect(w, r, to, status)
			})
			err := open(t, s.host, quick()).PushManifest(t.Context(), d, manifest, "t")
			want := "unreachable"
			if to == "/moved" && status >= 307 {
				want = "" // still a PUT, and at the registry itself
			}
			if kind(err) != want {
				t.Errorf("%d to %s: %v, want %q", status, to, err, want)
			}
		}
	}
}

// D19: a registry that takes no writes says so in one way or another.
func TestReadOnlyRegistries(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	for name, refuse := range map[string]http.HandlerFunc{
		"405": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
		"405 with a code": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 405, "application/json", `{"errors":[{"code":"UNSUPPORTED"}]}`)
		},
		"400 with that code": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 400, "application/json", `{"errors":[{"code":"UNSUPPORTED"}]}`)
		},
		"501": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) },
		"405, Quay's words": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 405, "application/json", `{"errors":[{"code":"READ_ONLY_MODE"}]}`)
		},
	} {
		s := serve(t, refuse)
		repository := open(t, s.host, quick())
		for operation, err := range map[string]error{
			"push blob":     repository.PushBlob(t.Context(), describe("application/x", []byte("blob")), []byte("blob")),
			"push manifest": repository.PushManifest(t.Context(), d, manifest, "t"),
		} {
			if kind(err) != "unauthorized" || !strings.Contains(err.Error(), "read-only, or a cache") {
				t.Errorf("%s: %s: %v", name, operation, err)
			}
		}
	}
}

// D20: a path that nothing may be written to is not found, for who wants to
// write; a reader of the same answer learns nothing. D7: where an upload may
// begin, that is left to the caller.
func TestWrongPaths(t *testing.T) {
	for _, body := range []string{"Not found.\n", "", "<html>no</html>", `{"message":"no such owner"}`} {
		for _, mayBegin := range []bool{true, false} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && mayBegin {
					w.WriteHeader(202)
					return
				}
				answer(w, 404, "", body)
			})
			client, err := New(quick())
			if err != nil {
				t.Fatal(err)
			}
			ref := Reference{Registry: s.host, Repository: "wrong/catalog"}
			if tags, err := openPath(t, client, s.host, ref.Repository).Tags(t.Context()); kind(err) != "unreachable" || tags != nil {
				t.Errorf("%q: a reader: %v, %v", body, tags, err)
			}
			expectPush(t, client, ref)
			want := map[bool]string{true: "unreachable", false: "not found"}[mayBegin]
			_, err = openPath(t, client, s.host, ref.Repository).Tags(t.Context())
			if kind(err) != want || (!mayBegin && !strings.Contains(err.Error(), "check the path")) {
				t.Errorf("%q: a writer, may begin %t: %v, want %s", body, mayBegin, err, want)
			}
			if err := client.canPush(t.Context(), ref); (err == nil) != mayBegin {
				t.Errorf("%q: may begin %t: %v", body, mayBegin, err)
			}
		}
	}
}
