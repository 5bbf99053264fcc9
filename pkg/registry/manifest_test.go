package registry

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A 200 with another JSON than a manifest is none, whatever type it is given.
func TestManifestsThatAreNone(t *testing.T) {
	for _, mediaType := range []string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList, "application/json", "application/problem+json", "",
	} {
		for _, body := range []string{
			`{"errors":[{"code":"DENIED"}]}`, `{"errors":[],"schemaVersion":2}`, `{}`, `null`, `[]`, `"maintenance"`, `5`,
			`{"message":"down"}`, `{"mediaType":5,"message":"down"}`, `{"config":null,"layers":null,"manifests":null,"errors":[1]}`,
		} {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, mediaType, body) })
			repository := open(t, s.host, quick())
			if d, _, err := repository.Manifest(t.Context(), "t"); kind(err) != "unreachable" {
				t.Errorf("%s as %q is fetched: %v, %v; want unreachable", body, mediaType, d, err)
			}
		}
	}
}

// What a registry stores is its content, even if nobody can use it: whoever
// reads many manifests can pass over it.
func TestStoredManifestsThatAreNone(t *testing.T) {
	for _, body := range []string{`{}`, `[]`, `{"message":"x"}`} {
		d := describe(ocispec.MediaTypeImageManifest, []byte(body))
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/t") {
				w.Header().Set("Docker-Content-Digest", d.Digest.String())
			}
			answer(w, 200, d.MediaType, body)
		})
		repository := open(t, s.host, quick())
		for _, reference := range []string{"t", d.Digest.String()} {
			got, _, err := repository.Manifest(t.Context(), reference)
			if diff := cmp.Diff(d, got); err != nil || diff != "" {
				t.Errorf("%s as %s: %v\n%s", body, reference, err, diff)
			}
		}
	}
}

// A manifest is one under whatever type a server that knows none of them, or a
// proxy, gives it.
func TestManifestsUnderOtherTypes(t *testing.T) {
	const (
		manifest, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
		config          = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"x","size":2}`
		own             = `"mediaType":"` + manifest + `",`
		image           = `{"schemaVersion":2,` + own + config + `,"layers":[]}`
		silent          = `{"schemaVersion":2,` + config + `,"layers":[]}`
		manifests       = `{"schemaVersion":2,"manifests":[]}`
	)
	for _, tt := range []struct{ mediaType, body, want string }{
		{"application/x-json", image, manifest},
		{"text/x-json", image, manifest},
		{"text/javascript", image, manifest},
		{"application/problem+json", image, manifest},
		{"application/xml", image, manifest},
		{"application/xml", silent, manifest},
		{"application/xml", manifests, index},
		{strings.Repeat("application/", 3000), image, manifest},
		{manifest + ", application/json", image, manifest},
		{"application/json, " + manifest, image, manifest},
		{manifest + " , " + index + "; q=0.5", image, manifest},
		{strings.ToUpper(manifest), image, manifest},
		{dockerManifest, image, dockerManifest},
		{"application/json", strings.Replace(image, manifest, manifest+"; charset=utf-8", 1), manifest},
		{"application/json", strings.Replace(image, own, `"mediaType":5,`, 1), manifest},
		{"application/json", strings.Replace(image, own, `"mediaType":"",`, 1), manifest},
		{"application/json", strings.Replace(silent, `}`, `},"manifests":null`, 1), manifest},
		{"application/json", strings.Replace(silent, `[]`, `null`, 1), manifest},
		{"application/json", strings.Replace(manifests, `}`, `,"layers":null}`, 1), index},
		{"application/json", strings.Replace(manifests, `}`, `,"layers":null,"config":null}`, 1), index},
		{"application/json", strings.Replace(manifests, `[]`, `null`, 1), index},
		{"application/json", strings.Replace(silent, `}`, `},"errors":[]`, 1), manifest},
		{"application/json", `{"schemaVersion":2,"mediaType":"application/x"}`, "application/x"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", describe("", []byte(tt.body)).Digest.String())
			answer(w, 200, tt.mediaType, tt.body)
		})
		repository := open(t, s.host, quick())
		fetched, _, err := repository.Manifest(t.Context(), "t")
		if err != nil || fetched.MediaType != tt.want {
			t.Errorf("%.60s as %.60q is fetched as %q, %v; want %q", tt.body, tt.mediaType, fetched.MediaType, err, tt.want)
		}
		resolved, err := repository.Resolve(t.Context(), "t")
		if err != nil || resolved.Digest != fetched.Digest || resolved.MediaType != fetched.MediaType {
			t.Errorf("%.60s as %.60q resolves to %v, %v; want %v", tt.body, tt.mediaType, resolved, err, fetched)
		}
	}
}
