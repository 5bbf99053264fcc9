package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

// copied is what copyimage says.
type copied struct {
	Result struct {
		Manifests, Blobs, Referrers int
		Moved                       int64
		Warnings                    []string
	}
	Requests map[string]int
	Sent     int64
}

// copyImage copies an image by its digest.
func (s *workshop) copyImage(args ...string) (c copied) {
	s.t.Helper()
	fromJSON(s.t, s.run(tools.CopyImage(s.t), args...), &c)
	return c
}

// discovered are the digests of what oras finds to refer to an image, and to that.
func (s *workshop) discovered(where, reference string) (all []string) {
	s.t.Helper()
	type found struct {
		Digest    string  `json:"digest"`
		Referrers []found `json:"referrers"`
	}
	var top found
	text := s.oras("discover", where, "--format", "json", reference)
	fromJSON(s.t, text, &top)
	var add func(found)
	add = func(f found) {
		for _, r := range f.Referrers {
			all = append(all, r.Digest)
			add(r)
		}
	}
	add(top)
	slices.Sort(all)
	return slices.Compact(all)
}

// signedImage makes an image of two platforms, with an SBOM that is signed and one of
// the first platform, a signature, and one of the second platform in the older format.
func (s *workshop) signedImage(c *cosigns) (repository, digest string) {
	s.t.Helper()
	image := s.index("copied", "oci", s.container("copied", "amd64", "oci"), s.container("copied", "arm64", "oci"))
	d, content := s.manifest(image)
	repository, digest = strings.TrimSuffix(image, ":multi"), d.Digest.String()
	s.write("sbom.json", `{"spdxVersion":"SPDX-2.3"}`)
	s.write("other.json", `{"spdxVersion":"SPDX-2.3","name":"amd64"}`)
	attach := func(subject, file string) string {
		var attached struct {
			Digest string `json:"digest"`
		}
		fromJSON(s.t, s.oras("attach", "--plain-http", "--format", "json", "--artifact-type", "application/spdx+json", repository+"@"+subject, file), &attached)
		return attached.Digest
	}
	sbom := attach(digest, "sbom.json")
	attach(content.Manifests[0].Digest.String(), "other.json")
	signings := c.signings()
	signings["cosign 3"](repository + "@" + digest)
	signings["cosign 2, legacy"](repository + "@" + content.Manifests[1].Digest.String())
	signings["cosign 3"](repository + "@" + sbom)
	return repository, digest
}

// An image with all that belongs to it goes from registry to registry, and through a
// layout, and other programs find there what they had made.
func TestCopiedImages(t *testing.T) {
	t.Parallel()
	c := newCosigns(t)
	first := registries.Distribution3(t, true)
	s := &workshop{t: t, dir: t.TempDir(), host: first.Host}
	from, digest := s.signedImage(c)
	_, content := s.manifest(from + "@" + digest)
	want := s.discovered("--plain-http", from+"@"+digest)
	if len(want) != 3 {
		t.Fatalf("oras finds %v at the source, want the SBOM, and two signatures", want)
	}
	layout := filepath.Join(s.dir, "copied")
	last := registries.Distribution3(t, true)
	places := []string{registries.GGCR(t, true).Host + "/a/image", "oci:" + layout, last.Host + "/b/image", registries.OCIMem(t).Host + "/c/image"}
	at := from
	for _, place := range places {
		got := s.copyImage(at+"@"+digest, place)
		if got.Result.Manifests != 3 || got.Result.Referrers != 5 || len(got.Result.Warnings) > 0 || got.Result.Moved == 0 {
			t.Errorf("%s: got %+v", place, got)
		}
		again := s.copyImage(at+"@"+digest, place)
		calls := map[string]int{"HEAD": 1}
		if place == "oci:"+layout {
			calls = map[string]int{}
		}
		if diff := cmp.Diff(copied{Requests: calls}, again); diff != "" {
			t.Errorf("%s, again:\n%s", place, diff)
		}
		at = place
		if path, isLayout := strings.CutPrefix(place, "oci:"); isLayout {
			if diff := cmp.Diff(want, s.discovered("--oci-layout", path+"@"+digest)); diff != "" {
				t.Errorf("%s, by oras:\n%s", place, diff)
			}
			continue
		}
		if diff := cmp.Diff(want, s.discovered("--plain-http", place+"@"+digest)); diff != "" {
			t.Errorf("%s, by oras:\n%s", place, diff)
		}
		for _, child := range content.Manifests {
			s.skopeo("copy", "--quiet", "--src-tls-verify=false", "docker://"+place+"@"+child.Digest.String(), "dir:"+filepath.Join(t.TempDir(), "dir"))
		}
		for format, signed := range map[string]string{"bundle": digest, "legacy": content.Manifests[1].Digest.String()} {
			for program, args := range c.verifications(format, c.public) {
				c.must(program, append(args, place+"@"+signed)...)
			}
		}
	}
	s.copyWithin(from, digest, first.Host+"/os/mounted")
}

// copyWithin copies an image within a registry: none of its bytes are sent.
func (s *workshop) copyWithin(from, digest, to string) {
	s.t.Helper()
	got := s.copyImage(from+"@"+digest, to)
	text, err := json.Marshal(got)
	if got.Result.Moved != 0 || got.Sent != 0 || got.Requests["MOUNT"] == 0 || got.Requests["POST"] > 1 || err != nil {
		s.t.Errorf("within a registry: got %s, want that all is mounted", text)
	}
	s.t.Logf("within a registry: %s", text)
	s.skopeo("inspect", "--raw", "--tls-verify=false", "docker://"+to+"@"+digest)
}
