package registry

import (
	"net/http"
	"testing"
)

// Whatever a repository is called: a manifest is checked against the digest that it was
// asked by.
func TestManifestsAreCheckedInEveryRepository(t *testing.T) {
	right, manifest := manifestOf(t, "right", nil)
	_, other := manifestOf(t, "altered", nil)
	for _, name := range []string{"team/image", "a/blobs/b", "blobs/x", "a/blobs", "a/blobs/uploads", "blobs/uploads/b", "a/manifests/b", "a/manifests", "tags/list", "a/referrers/b"} {
		answers := other
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, right.MediaType, string(answers)) })
		client, err := New(quick())
		if err != nil {
			t.Fatal(err)
		}
		repository, err := client.Open(Reference{Registry: s.host, Repository: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := repository.Manifest(t.Context(), right.Digest.String()); err == nil {
			t.Errorf("%s: an altered manifest is taken", name)
		}
		asked := len(s.requests())
		if asked < 2 {
			t.Errorf("%s: what the connection may have altered was asked for %d times, want again", name, asked)
		}
		answers = manifest
		if _, body, err := repository.Manifest(t.Context(), right.Digest.String()); err != nil || string(body) != string(manifest) {
			t.Errorf("%s: the right manifest: %v", name, err)
		}
	}
}

func TestEndpointOf(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/a/manifests/latest":           toManifests,
		"/v2/a/blobs/b/manifests/sha256:0": toManifests,
		"/v2/a/blobs/manifests/blobs":      toManifests,
		"/v2/tags/list/manifests/list":     toManifests,
		"/v2/a/blobs/sha256:0":             toBlobs,
		"/v2/a/manifests/b/blobs/sha256:0": toBlobs,
		"/v2/a/blobs/uploads/":             toBlobs,
		"/v2/a/blobs/uploads/0-1":          toBlobs,
		"/v2/a/blobs/b/tags/list":          toTags,
		"/v2/a/blobs/tags/list":            toTags,
		"/v2/a/blobs/referrers/sha256:0":   toReferrers,
		"/v2/":                             "",
		"/v2/_catalog":                     "",
		"/token/a/blobs/b":                 "",
	} {
		if got := endpointOf(path); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
}
