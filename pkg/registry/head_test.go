package registry

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// badHeads are answers to HEAD that say nothing about what GET would answer.
var badHeads = map[string]http.HandlerFunc{
	"401": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
	"403": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
	"400": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
	"405": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
	"406": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(406) },
	"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
	"501": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) },
	"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
	"404, a page": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(404)
	},
	"a page":        func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") },
	"no connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"no length": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Transfer-Encoding", "chunked")
	},
	"length 0": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", "0")
	},
	"a signed address that is for GET": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/storage" {
			w.WriteHeader(403)
			return
		}
		w.Header().Set("Location", "/storage?signature=x")
		w.WriteHeader(307)
	},
}

// D5 and D6: whatever HEAD answers but a clean 200 or 404 is asked again by GET.
func TestHeadFallsBackToGet(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	blob := describe("application/x", []byte("blob"))
	for name, bad := range badHeads {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodHead:
					bad(w, r)
				case strings.Contains(r.URL.Path, "/manifests/"):
					answer(w, 200, manifest.MediaType, string(body))
				default:
					http.ServeContent(w, r, "", zeroTime, strings.NewReader("blob"))
				}
			})
			repository := open(t, s.host, quick())
			for _, reference := range []string{"t", manifest.Digest.String()} {
				got, err := repository.Resolve(t.Context(), reference)
				if diff := cmp.Diff(manifest, got); err != nil || diff != "" {
					t.Errorf("resolve %s: %v\n%s", reference, err, diff)
				}
			}
			if err := repository.StatBlob(t.Context(), blob); err != nil {
				t.Errorf("stat: %v after %v", err, s.requests())
			}
		})
	}
}

// HEAD that lies about the size of a blob accuses nobody; GET does.
func TestOnlyGetAccuses(t *testing.T) {
	blob := describe("application/x", []byte("blob"))
	for _, tt := range []struct {
		name string
		get  http.HandlerFunc
		want string
	}{
		{"the right size", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", zeroTime, strings.NewReader("blob"))
		}, ""},
		{"another size", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", zeroTime, strings.NewReader("a blob"))
		}, "malformed"},
		{"no ranges", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "blob") }, ""},
		{"another size, and no ranges", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a blob") }, "malformed"},
		{"ranges refused", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(416)
				return
			}
			io.WriteString(w, "blob")
		}, ""},
		{"a range of an unknown whole", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-0/*")
			answer(w, 206, "application/octet-stream", "b")
		}, ""},
		{"absent", func(w http.ResponseWriter, r *http.Request) {
			answer(w, 404, "application/json", `{"errors":[{"code":"BLOB_UNKNOWN"}]}`)
		}, "not found"},
		{"a page", func(w http.ResponseWriter, r *http.Request) { answer(w, 200, "text/html", "<p>") }, "unreachable"},
		{"absent, says a page", func(w http.ResponseWriter, r *http.Request) { answer(w, 404, "text/html", "<p>") }, "unreachable"},
		{"gone from the storage", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/storage" {
				answer(w, 404, "application/xml", "<Error/>")
				return
			}
			http.Redirect(w, r, "/storage", http.StatusTemporaryRedirect)
		}, "unreachable"},
	} {
		for _, length := range []int{0, 9, 404} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method != http.MethodHead:
					tt.get(w, r)
				case length == 404:
					w.WriteHeader(404)
				default:
					w.Header().Set("Content-Length", strconv.Itoa(length))
				}
			})
			if err := open(t, s.host, quick()).StatBlob(t.Context(), blob); kind(err) != tt.want {
				t.Errorf("HEAD says %d, GET %s: %v, want %q", length, tt.name, err, tt.want)
			}
		}
	}
}

// A clean answer costs one request.
func TestCleanHeads(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", manifest.Digest.String())
		switch {
		case strings.Contains(r.URL.Path, "/blobs/"):
			w.Header().Set("Content-Length", "4")
		case strings.HasSuffix(r.URL.Path, "/gone"):
			w.WriteHeader(404)
		default:
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Header().Set("Content-Type", manifest.MediaType+"; charset=utf-8")
		}
	})
	repository := open(t, s.host, quick())
	if got, err := repository.Resolve(t.Context(), "t"); err != nil || got.Digest != manifest.Digest || got.MediaType != manifest.MediaType {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := repository.Resolve(t.Context(), "gone"); kind(err) != "not found" {
		t.Error(err)
	}
	if err := repository.StatBlob(t.Context(), describe("application/x", []byte("blob"))); err != nil {
		t.Error(err)
	}
	if len(s.requests()) != 3 {
		t.Errorf("%v", s.requests())
	}
}

// What HEAD calls absent, and GET does not, is there for those who must be
// sure.
func TestConfirm(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	for _, there := range []bool{true, false} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead || !there {
				answer(w, 404, "application/json", `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
				return
			}
			answer(w, 200, manifest.MediaType, string(body))
		})
		got, err := absence.Confirm(t.Context(), open(t, s.host, quick()), "t")
		if want := map[bool]string{false: "not found"}[there]; kind(err) != want || (there && got.Digest != manifest.Digest) || len(s.requests()) != 2 {
			t.Errorf("there %t: %v, %v after %v", there, got, err, s.requests())
		}
	}
}

// D1 and D24: a body decides by its own members what it is; what is of a kind
// that is not supported is named, and asked for once.
func TestKindsOfManifests(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	for _, mediaType := range []string{manifest.MediaType, manifest.MediaType + "; charset=utf-8", "application/json", "text/plain", "application/octet-stream", ""} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{mediaType}
			w.Write(body)
		})
		got, _, err := open(t, s.host, quick()).Manifest(t.Context(), "t")
		if diff := cmp.Diff(manifest, got); err != nil || diff != "" {
			t.Errorf("type %q: %v\n%s", mediaType, err, diff)
		}
	}
	for text, want := range map[string]string{
		`{"schemaVersion":2,"manifests":[]}`:                  "application/vnd.oci.image.index.v1+json",
		`{"schemaVersion":2,"config":{},"layers":[]}`:         "application/vnd.oci.image.manifest.v1+json",
		`{"message":"ok"}`:                                    "unreachable",
		`{"config":{},"layers":[],"manifests":[]}`:            "unreachable",
		`{"errors":[{"code":"DENIED"}]}`:                      "unreachable",
		`{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}`: "malformed",
		`{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}`: "malformed",
	} {
		// The digest of Docker's first schema is not that of the bytes.
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			d := digest.FromString(text)
			if want == "malformed" {
				d = sha256sum
			}
			w.Header().Set("Docker-Content-Digest", d.String())
			answer(w, 200, "application/json", text)
		})
		got, _, err := open(t, s.host, quick()).Manifest(t.Context(), "t")
		if got.MediaType+kind(err) != want || len(s.requests()) != 1 {
			t.Errorf("%s: %s, %v after %d requests; want %s", text, got.MediaType, err, len(s.requests()), want)
		}
	}
}
