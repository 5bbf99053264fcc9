package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

// raw returns the digest of the manifest that skopeo has of a reference.
func (s *workshop) raw(reference string, flags ...string) digest.Digest {
	s.t.Helper()
	return digest.FromString(s.skopeo(append(flags, "inspect", "--raw", "--tls-verify=false", reference)...))
}

// mirrorSet is an ImageDigestMirrorSet of config.openshift.io/v1, without what is left
// to its defaults.
type mirrorSet struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		ImageDigestMirrors []digestMirrors `yaml:"imageDigestMirrors"`
	} `yaml:"spec"`
}

type digestMirrors struct {
	Source  string   `yaml:"source"`
	Mirrors []string `yaml:"mirrors"`
}

// With what `caib catalog mirrors` prints of a copy, others read images by the names
// that they were published under, though their registry is gone.
func TestMirrorsAreReadByOthers(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, entryKinds)
	items := s.items(s.public)
	to := newCounted(t, "distribution-3.1")
	s.copyTo(to.address + "/mirror/catalog")
	s.of.stop()
	copied := newWorld(t, target{catalog: to.address + "/mirror/catalog"})

	tool := &workshop{t: t, dir: t.TempDir(), host: to.address}
	tool.write("registries.conf", copied.ok("catalog", "mirrors", "-o", "registries.conf").Stdout)
	to.taken()
	read := 0
	for name, item := range items {
		want := digest.Digest(item["digest"].(string))
		reference := "docker://" + s.of.address + "/os/" + name + "@" + want.String()
		if got := tool.raw(reference, "--registries-conf", filepath.Join(tool.dir, "registries.conf")); got != want {
			t.Errorf("%s: skopeo reads %s", reference, got)
		}
		read++
	}
	requests, _ := to.taken()
	if asked := strings.Join(requests, "\n"); read < entryKinds-1 || strings.Count(asked, "/v2/mirror/os/") < read {
		t.Errorf("skopeo read %d images, and asked the mirror for\n%s", read, asked)
	}

	var set mirrorSet
	decoder := yaml.NewDecoder(strings.NewReader(copied.ok("catalog", "mirrors", "-o", "idms").Stdout))
	decoder.KnownFields(true)
	if err := decoder.Decode(&set); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(set.Metadata.Name) {
		t.Errorf("the mirror set has the name %q", set.Metadata.Name)
	}
	want := mirrorSet{APIVersion: "config.openshift.io/v1", Kind: "ImageDigestMirrorSet", Metadata: set.Metadata}
	want.Spec.ImageDigestMirrors = []digestMirrors{{s.of.address, []string{to.address + "/mirror"}}}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("the mirror set (-want +got):\n%s", diff)
	}
}

// What a copy brings of an image, and what is in a backup, is what `oras cp -r` makes of
// it; and oras, skopeo and podman read the backup.
func TestCopiesAreWhatOrasMakes(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, entryKinds)
	items := s.items(s.public)
	to, other := newCounted(t, "distribution-3.1"), registries.GGCR(t, true)
	s.copyTo(to.address + "/mirror/catalog")
	archive := filepath.Join(t.TempDir(), "catalog.tar")
	s.ok("catalog", "backup", s.on.catalog, archive)
	tool := &workshop{t: t, dir: t.TempDir(), host: to.address}
	for _, i := range []int{3, 4, 5, 6, 7} {
		name := entryName(i)
		image := "/os/" + name + "@" + items[name]["digest"].(string)
		tool.oras("cp", "-r", "--from-plain-http", "--to-plain-http", s.of.address+image, other.Host+"/os/"+name)
		want := tool.closure(other.Host + image)
		if got := tool.closure(to.address + "/mirror" + image); !slices.Equal(got, want) || len(want) < 2 {
			t.Errorf("%s: the copy has %v, and oras brings %v", name, got, want)
		}
	}
	s.of.stop()
	for _, i := range []int{3, 4, 5, 6, 7} {
		tool.archived(archive, items[entryName(i)]["digest"].(string), i != 5)
	}
}

// closure are the digests of an image in a registry, of its platforms, and of what refers
// to one of them.
func (s *workshop) closure(image string) (all []digest.Digest) {
	s.t.Helper()
	repository, _, _ := strings.Cut(image, "@")
	d, content := s.manifest(image)
	for _, one := range append([]ocispec.Descriptor{d}, content.Manifests...) {
		at := repository + "@" + one.Digest.String()
		if got := s.raw("docker://" + at); got != one.Digest {
			s.t.Errorf("%s: skopeo reads %s", at, got)
		}
		all = append(all, one.Digest)
		for _, referrer := range s.discovered("--plain-http", at) {
			all = append(all, digest.Digest(referrer))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// archived requires that an image is read from a backup, by the tag that it has there.
func (s *workshop) archived(archive, want string, container bool) {
	s.t.Helper()
	var index ocispec.Index
	fromJSON(s.t, s.run("tar", "xOf", archive, "index.json"), &index)
	tag := ""
	for _, one := range index.Manifests {
		if name := one.Annotations[ocispec.AnnotationRefName]; one.Digest.String() == want && name != "" {
			tag = name
		}
	}
	if tag == "" {
		s.t.Fatalf("%s has no tag in %s", want, archive)
	}
	if got := s.raw("oci-archive:" + archive + ":" + tag); got.String() != want {
		s.t.Errorf("skopeo reads %s as %s, want %s", tag, got, want)
	}
	s.skopeo("copy", "--quiet", "--all", "--preserve-digests", "oci-archive:"+archive+":"+tag, "dir:"+filepath.Join(s.t.TempDir(), "dir"))
	if text := s.oras("manifest", "fetch", "--oci-layout", archive+"@"+want); digest.FromString(text).String() != want {
		s.t.Errorf("oras reads another manifest of %s", want)
	}
	if found := s.discovered("--oci-layout", archive+"@"+want); len(found) == 0 {
		s.t.Errorf("oras discovers nothing of %s in the backup", want)
	}
	if container {
		podman := tools.Debian(s.t, "podman", "podman")
		s.run(podman, "pull", "--quiet", "--root", s.dir+"/graph", "--storage-driver", "vfs", "oci-archive:"+archive+":"+tag)
	}
}
