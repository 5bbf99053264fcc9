package registry

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// What is no answer is asked for again; when it stays none, nothing can be
// said about what was asked for.
func TestAnswersThatAreNone(t *testing.T) {
	_, manifest := manifestOf(t, "right", nil)
	_, other := manifestOf(t, "altered", nil)
	right := describe(ocispec.MediaTypeImageManifest, manifest)
	serveManifest := func(w http.ResponseWriter, body []byte) {
		w.Header().Set("Docker-Content-Digest", right.Digest.String())
		answer(w, 200, right.MediaType, string(body))
	}
	altered := []string{"not JSON", "nothing", "two values", "an altered manifest"}
	for _, tt := range []struct {
		name string
		bad  http.HandlerFunc
	}{
		{"an HTML page", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, "text/html; charset=utf-8", "<html></html>")
		}},
		{"JSON that says it is HTML", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "text/html", string(manifest)) }},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, right.MediaType, "ok") }},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, right.MediaType, "") }},
		{"two values", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, right.MediaType, string(manifest)+"{}") }},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) { cut(w, right.MediaType, string(manifest[:20])) }},
		{"cut short where JSON could end", func(w http.ResponseWriter, _ *http.Request) { cut(w, right.MediaType, string(manifest)) }},
		{"an altered manifest", func(w http.ResponseWriter, _ *http.Request) { serveManifest(w, other) }},
		{"a connection that breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"a bad gateway", func(w http.ResponseWriter, _ *http.Request) { answer(w, 502, "text/html", "<html></html>") }},
	} {
		for _, reference := range []string{"t", right.Digest.String()} {
			t.Run(tt.name+" for "+reference[:1], func(t *testing.T) {
				var s *script
				s = serve(t, func(w http.ResponseWriter, r *http.Request) {
					if len(s.requests()) < 3 {
						tt.bad(w, r)
						return
					}
					serveManifest(w, manifest)
				})
				d, body, err := open(t, s.host, quick()).Manifest(t.Context(), reference)
				if diff := cmp.Diff([]any{right, manifest}, []any{d, body}); err != nil || diff != "" {
					t.Errorf("after two bad answers: %v\n%s", err, diff)
				}
				never := serve(t, tt.bad)
				_, body, err = open(t, never.host, quick()).Manifest(t.Context(), reference)
				if kind(err) != "unreachable" || body != nil || len(never.requests()) < 4 || errors.Is(err, absence.ErrAltered) != slices.Contains(altered, tt.name) {
					t.Errorf("after only bad answers: %s, %v after %v", body, err, never.requests())
				}
			})
		}
	}
}

// A manifest that is asked for by digest is checked against it, whatever the
// registry announces.
func TestAlteredManifestsWithoutAnAnnouncement(t *testing.T) {
	right, manifest := manifestOf(t, "right", nil)
	_, other := manifestOf(t, "altered", nil)
	var s *script
	s = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if len(s.requests()) < 3 {
			answer(w, 200, right.MediaType, string(other))
			return
		}
		answer(w, 200, right.MediaType, string(manifest))
	})
	if _, body, err := open(t, s.host, quick()).Manifest(t.Context(), right.Digest.String()); err != nil || string(body) != string(manifest) {
		t.Errorf("%s, %v", body, err)
	}
}

func TestTagListsThatAreNone(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  http.HandlerFunc
	}{
		{"an HTML page", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "text/html", "<html></html>") }},
		{"cut short where JSON could end", func(w http.ResponseWriter, _ *http.Request) {
			cut(w, "application/json", `{"tags":["a"]}`)
		}},
		{"another JSON", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", `{"tags":"a"}`) }},
	} {
		s := serve(t, tt.bad)
		tags, err := open(t, s.host, quick()).Tags(t.Context())
		if kind(err) != "unreachable" || len(tags) != 0 {
			t.Errorf("%s: %v, %v", tt.name, tags, err)
		}
	}
}

var (
	start  = `{"tags":["a"]}`
	spaces = strings.Repeat(" ", 1<<20)
)

// endless counts what is read from a body that is JSON, and then spaces
// without an end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, spaces)
	if e.read == 0 {
		n = copy(p, start)
	}
	e.read += int64(n)
	return n, nil
}

func TestEndlessAnswersAreCut(t *testing.T) {
	body := &endless{}
	options := Options{Attempts: 1, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, 200, body), nil
	})}
	tags, err := open(t, "registry.example.com", options).Tags(t.Context())
	if kind(err) != "unreachable" || tags != nil || body.read > maxAnswer+1<<20 {
		t.Errorf("%v, %v after %d bytes", tags, err, body.read)
	}
	body.read = 0
	options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		response := respond(r, 200, body)
		response.ContentLength = 5
		return response, nil
	})
	blob, err := open(t, "registry.example.com", options).Blob(t.Context(), ocispec.Descriptor{Digest: sha256sum, Size: 5})
	if kind(err) != "unreachable" || blob != nil || body.read > 1<<20 {
		t.Errorf("%q, %v after %d bytes", blob, err, body.read)
	}
	// An error's text is read too.
	body.read = 0
	options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return respond(r, 400, body), nil })
	if _, err = open(t, "registry.example.com", options).Tags(t.Context()); err == nil || len(err.Error()) > 1000 || body.read > 1<<20 {
		t.Errorf("%.200v after %d bytes", err, body.read)
	}
}

func TestManifestsAreBounded(t *testing.T) {
	huge := `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","x":"` + strings.Repeat("x", 4<<20) + `"}`
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, ocispec.MediaTypeImageManifest, huge) })
	_, body, err := open(t, s.host, quick()).Manifest(t.Context(), "t")
	if kind(err) != "unreachable" || body != nil || len(s.requests()) != 1 {
		t.Errorf("%d bytes, %v after %v", len(body), err, s.requests())
	}
}

// Bytes that are not the registry's API go through untouched: blobs are read
// by whoever knows how long they are.
func TestBlobsAreNotHeldInMemory(t *testing.T) {
	body := &endless{}
	transport := &answers{base: roundTripper(func(r *http.Request) (*http.Response, error) { return respond(r, 200, body), nil })}
	for _, path := range []string{"/v2/a/blobs/" + sha256sum.String(), "/storage/xyz", "/token"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil || body.read != 0 {
			t.Fatalf("%s: %v after %d bytes", path, err, body.read)
		}
		if _, err := io.CopyN(io.Discard, response.Body, 10); err != nil {
			t.Error(err)
		}
		response.Body.Close()
		body.read = 0
	}
}
