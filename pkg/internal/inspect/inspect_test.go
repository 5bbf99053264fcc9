package inspect

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func at(t time.Time) *entry.Time {
	created := entry.NewTime(t)
	return &created
}

// unread leaves out the manifests as they came.
var unread = cmpopts.IgnoreFields(Image{}, "Manifests")

func TestSingleImage(t *testing.T) {
	m := newMemory()
	d, err := samples.Bootc(t.Context(), m, tag, build("arm64"))
	if err != nil {
		t.Fatal(err)
	}
	parts := m.parsed(t, d)
	want := &Image{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d.Digest, Size: d.Size},
		Observed:   revision.Observed{CreatedAt: at(built), SizeBytes: parts.Config.Size + parts.Layers[0].Size, LayerCount: 1},
		Metadata: entry.Metadata{
			Architecture: "arm64", OS: "linux", Distro: "autosd10-sig", Targets: []entry.Target{{Name: "rpi4"}}, Bootc: true, BuildMode: "bootc",
		},
	}
	if diff := cmp.Diff(want, m.mustInspect(t), unread); diff != "" {
		t.Error(diff)
	}
	// The manifest and its configuration; layers are gigabytes.
	if diff := cmp.Diff([]string{tag, parts.Config.Digest.String()}, m.asked); diff != "" {
		t.Errorf("asked for:\n%s", diff)
	}
}

func TestMultiArchitectureIndex(t *testing.T) {
	m := newMemory()
	d, err := samples.Bootc(t.Context(), m, tag, build("amd64", "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	var platforms []entry.Platform
	total := int64(0)
	for i, architecture := range []string{"amd64", "arm64"} {
		platform := m.parsedIndex(t, d).Manifests[i]
		parts := m.parsed(t, platform)
		size := parts.Config.Size + parts.Layers[0].Size
		total += size
		platforms = append(platforms, entry.Platform{Architecture: architecture, OS: "linux", Digest: platform.Digest, SizeBytes: size, LayerCount: 1})
	}
	want := &Image{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d.Digest, Size: d.Size},
		Observed:   revision.Observed{CreatedAt: at(built), SizeBytes: total, LayerCount: 1, Platforms: platforms},
		Metadata: entry.Metadata{
			OS: "linux", Distro: "autosd10-sig", Targets: []entry.Target{{Name: "rpi4"}}, Bootc: true, BuildMode: "bootc",
		},
	}
	if diff := cmp.Diff(want, m.mustInspect(t), unread); diff != "" {
		t.Error(diff)
	}
}

func TestDiskArtifact(t *testing.T) {
	m := newMemory()
	d, err := samples.Disk(t.Context(), m, tag, build("arm64"))
	if err != nil {
		t.Fatal(err)
	}
	file := m.parsed(t, d).Layers[0]
	want := &Image{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d.Digest, Size: d.Size},
		Observed:   revision.Observed{CreatedAt: at(built), SizeBytes: 2 + file.Size, LayerCount: 1},
		Metadata:   entry.Metadata{Architecture: "arm64", Distro: "autosd10-sig", Targets: []entry.Target{{Name: "rpi4"}}, ExportFormat: "qcow2"},
		IsDisk:     true,
		Artifacts: []revision.Artifact{{
			Type: "application/vnd.automotive.disk.qcow2+gzip", Reference: "registry.example.com/team/image@" + d.Digest.String(),
			Digest: file.Digest, SizeBytes: file.Size, Format: "qcow2", Title: "disk.qcow2.gz", Compression: "gzip", DecompressedSize: 4 << 16,
		}},
	}
	if diff := cmp.Diff(want, m.mustInspect(t), unread); diff != "" {
		t.Error(diff)
	}
}

func TestDockerSchema2(t *testing.T) {
	const (
		list, single = "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"
		configType   = "application/vnd.docker.container.image.v1+json"
	)
	m := newMemory()
	config := m.config(t, configType, []byte(`{"architecture":"aarch64","os":"linux","variant":"v8","created":"2026-03-01T14:00:00+02:00",
		"config":{"Labels":{"containers.bootc":"true","automotive.sdv.cloud.redhat.com/distro":"cs9"},"ExposedPorts":{"80/tcp":{}}},"container_config":{"Cmd":null},"docker_version":"20"}`))
	image := manifest(config, layer("a", 10), layer("b", 20))
	image.MediaType = single
	child := m.put(t, "child", single, image)
	child.Platform = &ocispec.Platform{Architecture: "wrong", OS: "wrong"} // the configuration knows better
	all := index(child)
	all.MediaType = list
	d := m.put(t, tag, list, all)
	size := config.Size + 30
	want := &Image{
		Descriptor: ocispec.Descriptor{MediaType: list, Digest: d.Digest, Size: d.Size},
		Observed: revision.Observed{CreatedAt: at(built), SizeBytes: size, LayerCount: 2, Platforms: []entry.Platform{
			{Architecture: "arm64", OS: "linux", Variant: "v8", Digest: child.Digest, SizeBytes: size, LayerCount: 2},
		}},
		Metadata: entry.Metadata{Architecture: "arm64", OS: "linux", Variant: "v8", Distro: "cs9", Bootc: true, BuildMode: "bootc"},
	}
	if diff := cmp.Diff(want, m.mustInspect(t), unread); diff != "" {
		t.Error(diff)
	}
}

// BuildKit's attestations are manifests too, of no platform.
func TestAttestationsAreNoPlatforms(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}})
	child := m.put(t, "child", ocispec.MediaTypeImageManifest, manifest(config, layer("a", 10)))
	sbom := layer("sbom", 1<<40)
	sbom.MediaType, sbom.Annotations = "application/vnd.in-toto+json", map[string]string{"in-toto.io/predicate-type": "https://spdx.dev/Document"}
	attestation := m.put(t, "attestation", ocispec.MediaTypeImageManifest, manifest(config, sbom))
	attestation.Annotations = map[string]string{"vnd.docker.reference.digest": child.Digest.String(), "vnd.docker.reference.type": "attestation-manifest"}
	attestation.Platform = &ocispec.Platform{Architecture: "unknown", OS: "unknown"}
	other := layer("something else", 5)
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(attestation, child, other))
	image := m.mustInspect(t)
	want := revision.Observed{SizeBytes: config.Size + 10, LayerCount: 1, Platforms: []entry.Platform{
		{Architecture: "amd64", OS: "linux", Digest: child.Digest, SizeBytes: config.Size + 10, LayerCount: 1},
	}, Referrers: []revision.Referrer{{
		Type: "application/vnd.in-toto+json", PredicateType: "https://spdx.dev/Document", Digest: attestation.Digest,
		SizeBytes: 1 << 40, FileDigest: sbom.Digest, Subject: child.Digest,
	}}}
	if diff := cmp.Diff(want, image.Observed); diff != "" {
		t.Error(diff)
	}
	if image.Metadata.Architecture != "amd64" {
		t.Errorf("architecture %q of an index with one platform", image.Metadata.Architecture)
	}
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(attestation, other))
	if image, err := m.inspect(t); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("an index without an image: %+v, %v", image, err)
	}
}

// What several platforms or layers share is stored once, and counted once.
func TestSharedBlobsCountOnce(t *testing.T) {
	m := newMemory()
	var children []ocispec.Descriptor
	var platforms []entry.Platform
	var configs int64
	for _, architecture := range []string{"amd64", "arm64"} {
		config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: architecture, OS: "linux"}})
		configs += config.Size
		layers := []ocispec.Descriptor{layer("base", 1000), layer("base", 1000), layer(architecture, 10)}
		if architecture == "amd64" {
			layers = append(layers, layer("base", 1000))
		}
		child := m.put(t, architecture, ocispec.MediaTypeImageManifest, manifest(config, layers...))
		children = append(children, child)
		platforms = append(platforms, entry.Platform{Architecture: architecture, OS: "linux", Digest: child.Digest, SizeBytes: config.Size + 1010, LayerCount: len(layers)})
	}
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
	want := revision.Observed{SizeBytes: configs + 1020, LayerCount: 4, Platforms: platforms}
	if diff := cmp.Diff(want, m.mustInspect(t).Observed); diff != "" {
		t.Error(diff)
	}
}
