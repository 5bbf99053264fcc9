package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	typeAIB    = "application/vnd.automotive.manifest.v1+yaml"
	typeSPDX   = "application/spdx+json"
	typeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	typeDisk   = "application/vnd.automotive.disk.qcow2+gzip"
)

func titled(name string, size int64) ocispec.Descriptor {
	d := layer(name, size)
	d.Annotations = map[string]string{ocispec.AnnotationTitle: name}
	return d
}

func sample(t *testing.T, m *memory, architectures ...string) ocispec.Descriptor {
	t.Helper()
	d, err := samples.Bootc(t.Context(), m, tag, build(architectures...))
	if err != nil {
		t.Fatal(err)
	}
	return plain(d)
}

// What builds leave beside an image and its platforms.
func TestReferrers(t *testing.T) {
	m := newMemory()
	image := sample(t, m, "amd64", "arm64")
	platform := plain(m.parsedIndex(t, image).Manifests[1])
	aib := m.attach(t, image, typeAIB, titled("manifest.aib.yml", 100))
	provenance := manifest(ocispec.DescriptorEmptyJSON, layer("bundle", 300))
	provenance.ArtifactType, provenance.Subject = typeBundle, &image
	provenance.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}
	slsa := m.attachManifest(t, image, provenance)
	sbom := m.attach(t, platform, typeSPDX, layer("sbom", 7), layer("more", 8))
	own := m.attach(t, image, revision.MediaTypeEntry, layer("revision", 9)) // a catalog's own
	signature := m.attach(t, platform, typeBundle, layer("signature", 5))
	m.attached[image.Digest] = append(m.attached[image.Digest], m.attached[image.Digest][0]) // listed twice
	want := []revision.Referrer{
		{Type: typeAIB, Digest: aib.Digest, SizeBytes: 100, Title: "manifest.aib.yml", FileDigest: digest.FromString("manifest.aib.yml")},
		{Type: typeSPDX, Digest: sbom.Digest, SizeBytes: 15, Subject: platform.Digest},
		{Type: typeBundle, PredicateType: "https://slsa.dev/provenance/v1", Digest: slsa.Digest, SizeBytes: 300, FileDigest: digest.FromString("bundle")},
		{Type: typeBundle, Digest: signature.Digest, SizeBytes: 5, FileDigest: digest.FromString("signature"), Subject: platform.Digest},
	}
	found := m.mustInspect(t)
	if slices.Contains(m.asked, own.Digest.String()) {
		t.Error("every attachment of a catalog is read")
	}
	if diff := cmp.Diff(want, found.Observed.Referrers); diff != "" || found.Incomplete || len(found.Warnings) > 0 {
		t.Errorf("incomplete %t, warnings %v\n%s", found.Incomplete, found.Warnings, diff)
	}
}

// A disk image that is attached to its container is a file to flash.
func TestAttachedDisks(t *testing.T) {
	m := newMemory()
	image := sample(t, m, "arm64")
	file := titled("disk.qcow2.gz", 500)
	file.MediaType = typeDisk
	disk := m.attach(t, image, typeDisk, file)
	found := m.mustInspect(t)
	want := []revision.Artifact{{
		Type: typeDisk, Reference: "registry.example.com/team/image@" + disk.Digest.String(), Digest: file.Digest,
		SizeBytes: 500, Format: "qcow2", Compression: "gzip", Title: "disk.qcow2.gz",
	}}
	if diff := cmp.Diff(want, found.Artifacts); diff != "" || len(found.Observed.Referrers) != 0 {
		t.Errorf("referrers %v\n%s", found.Observed.Referrers, diff)
	}
	many := make([]ocispec.Descriptor, maxArtifacts)
	for i := range many {
		many[i] = titled(fmt.Sprint(i), 1)
	}
	m.attach(t, image, typeDisk, many...)
	if found := m.mustInspect(t); len(found.Artifacts) > maxArtifacts {
		t.Errorf("%d artifacts", len(found.Artifacts))
	}
}

// In a fallback list, type and annotations are anybody's word, and entries may
// be gone or of another image.
func TestReferrersAreRead(t *testing.T) {
	m := newMemory()
	image := sample(t, m, "arm64")
	sbom := m.attach(t, image, typeSPDX, layer("sbom", 7))
	other := m.attach(t, layer("another image", 1), typeSPDX, layer("other", 7))
	broken := m.put(t, "broken", ocispec.MediaTypeImageManifest, []byte("{"))
	list := m.attached[image.Digest]
	list[0].ArtifactType = "application/vnd.example.lie"
	m.attached[image.Digest] = append(list, other, broken,
		ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 3},
		ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "not a digest", Size: 3},
		ocispec.Descriptor{MediaType: "text/html", Digest: digest.FromString("x"), Size: 3})
	want := []revision.Referrer{{Type: typeSPDX, Digest: sbom.Digest, SizeBytes: 7, FileDigest: digest.FromString("sbom")}}
	if diff := cmp.Diff(want, m.mustInspect(t).Observed.Referrers); diff != "" {
		t.Error(diff)
	}
}

// Some registries answer 401 or 500 to this question alone: the image is
// published, and what is missing is said.
func TestReferrersThatAreNotListed(t *testing.T) {
	for _, kind := range []error{entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout} {
		m := newMemory()
		sample(t, m, "arm64")
		m.refuse = fmt.Errorf("list: %w", kind)
		found := m.mustInspect(t)
		if !found.Incomplete || len(found.Warnings) != 1 || !strings.Contains(found.Warnings[0], "not known") {
			t.Errorf("%v: incomplete %t, warnings %v", kind, found.Incomplete, found.Warnings)
		}
	}
	m := newMemory()
	sample(t, m, "arm64")
	ctx, cancel := context.WithCancel(t.Context())
	m.refuse = context.Canceled
	cancel()
	if _, err := Inspect(ctx, m, reference); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// Where anybody may attach anything, what is known comes first, and the rest
// is bounded.
func TestManyReferrers(t *testing.T) {
	m := newMemory()
	image := sample(t, m, "arm64")
	for i := range 1000 {
		m.attach(t, image, "application/vnd.example.noise", layer(fmt.Sprint(i), 1))
	}
	m.attach(t, image, typeSPDX, layer("sbom", 7))
	m.asked = nil
	found := m.mustInspect(t)
	if n := len(found.Observed.Referrers); n != maxReferrers || len(m.asked) > maxReferrers+2 || len(found.Warnings) != 1 {
		t.Errorf("%d referrers after %d requests, warnings %v", n, len(m.asked), found.Warnings)
	}
	var kinds []string
	for _, r := range found.Observed.Referrers {
		if revision.ReferrerKind(&r) != "" {
			kinds = append(kinds, revision.ReferrerKind(&r))
		}
	}
	if diff := cmp.Diff([]string{revision.KindSBOM}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestHostileReferrers(t *testing.T) {
	for name, edit := range map[string]func(*ocispec.Manifest){
		"a negative size":     func(m *ocispec.Manifest) { m.Layers[0].Size = -1 },
		"sizes that overflow": func(m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{layer("a", maxBytes), layer("b", 1)} },
		"a broken digest":     func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../x" },
		"a type that steers":  func(m *ocispec.Manifest) { m.ArtifactType = "\x1b[2J" },
		"a catalog's own":     func(m *ocispec.Manifest) { m.ArtifactType = revision.MediaTypeRemoval },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			image := sample(t, m, "arm64")
			artifact := manifest(ocispec.DescriptorEmptyJSON, layer("a", 1))
			artifact.ArtifactType, artifact.Subject = "application/vnd.example", &image
			edit(&artifact)
			d := m.attachManifest(t, image, artifact)
			m.attached[image.Digest] = []ocispec.Descriptor{{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}}
			if got := m.mustInspect(t).Observed.Referrers; len(got) != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}
