package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/registries"
)

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
	first := newCounted(t, "distribution-3.1")
	s := &workshop{t: t, dir: t.TempDir(), host: first.address}
	from, digest := s.signedImage(c)
	w := newWorld(t, first.target)
	w.ok("catalog", "publish", from+":multi")
	_, content := s.manifest(from + "@" + digest)
	want := s.discovered("--plain-http", from+"@"+digest)
	if len(want) != 4 {
		t.Fatalf("oras finds %v at the source, want the SBOM, two signatures, and the entry", want)
	}
	layout := filepath.Join(s.dir, "copied")
	for _, place := range []string{registries.GGCR(t, true).Host + "/a", "oci:" + layout, registries.Distribution3(t, true).Host + "/b", registries.OCIMem(t).Host + "/c"} {
		path, isLayout := strings.CutPrefix(place, "oci:")
		on := target{catalog: place + "/catalog"}
		if isLayout {
			on.catalog = place
		}
		if got := w.copyTo(on.catalog); got.Images.Copied != 1 || got.Bytes == 0 {
			t.Errorf("%s: got %+v, want an image", place, got)
		}
		if again := w.copyTo(on.catalog); again.Images.Copied+again.Revisions.Copied != 0 || again.Bytes != 0 {
			t.Errorf("%s, again: got %+v, want nothing", place, again)
		}
		w = newWorld(t, on)
		if isLayout {
			if diff := cmp.Diff(want, s.discovered("--oci-layout", path+"@"+digest)); diff != "" {
				t.Errorf("%s, by oras:\n%s", place, diff)
			}
			continue
		}
		image := place + "/os/copied@"
		if diff := cmp.Diff(want, s.discovered("--plain-http", image+digest)); diff != "" {
			t.Errorf("%s, by oras:\n%s", place, diff)
		}
		for _, child := range content.Manifests {
			s.skopeo("copy", "--quiet", "--src-tls-verify=false", "docker://"+image+child.Digest.String(), "dir:"+filepath.Join(t.TempDir(), "dir"))
		}
		for format, signed := range map[string]string{"bundle": digest, "legacy": content.Manifests[1].Digest.String()} {
			for program, args := range c.verifications(format, c.public) {
				c.must(program, append(args, image+signed)...)
			}
		}
	}
	s.copyWithin(first, digest)
}

// copyWithin copies an image within a registry: none of its bytes are sent.
func (s *workshop) copyWithin(at *counted, digest string) {
	s.t.Helper()
	at.taken()
	got := newWorld(s.t, at.target).copyTo(at.address + "/other/catalog")
	requests, _ := at.taken()
	for blob := range blobsOf(requests) {
		if strings.Contains(blob, "/os/") {
			s.t.Errorf("within a registry %s is sent, want that it is mounted", blob)
		}
	}
	if got.Images.Copied != 1 || got.Bytes != 0 {
		s.t.Errorf("within a registry: got %+v, want an image, and no bytes of it", got)
	}
	s.skopeo("inspect", "--raw", "--tls-verify=false", "docker://"+at.address+"/other/os/copied@"+digest)
}
