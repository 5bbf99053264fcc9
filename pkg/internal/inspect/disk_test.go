package inspect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// One layer a partition, in a layout directory.
func TestPartitionedDisk(t *testing.T) {
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref := registry.Reference{Layout: t.TempDir(), Tag: tag}
	repository, err := client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	partition := func(name, mediaType, size string, bytes int64) ocispec.Descriptor {
		content := []byte(strings.Repeat(name[:1], int(bytes)))
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: bytes}
		if err := repository.PushBlob(t.Context(), d, content); err != nil {
			t.Fatal(err)
		}
		d.Annotations = map[string]string{automotive + "partition": name, automotive + "decompressed-size": size, ocispec.AnnotationTitle: name + ".simg"}
		return d
	}
	disk := manifest(ocispec.DescriptorEmptyJSON,
		partition("boot_a", "application/vnd.automotive.disk.simg+lz4", "1048576", 100),
		partition("system_a", "application/vnd.automotive.disk.simg", "not a number", 200),
		partition("meta", "application/vnd.oci.image.layer.v1.tar+gzip", "-5", 300))
	disk.ArtifactType = "application/vnd.automotive.disk.simg+lz4"
	disk.Annotations = map[string]string{automotive + "arch": "aarch64", automotive + "multi-layer": "true", automotive + "target": "ride4_sa8775p_sx"}
	d := m.put(t, tag, ocispec.MediaTypeImageManifest, disk)
	if err := repository.PushManifest(t.Context(), d, m.manifests[tag].body, tag); err != nil {
		t.Fatal(err)
	}
	image, err := Inspect(t.Context(), repository, ref)
	if err != nil {
		t.Fatal(err)
	}
	at := "oci:" + ref.Layout + "@" + d.Digest.String()
	want := &Image{
		Descriptor: ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size},
		Observed:   revision.Observed{SizeBytes: 602, LayerCount: 3},
		Metadata:   entry.Metadata{Architecture: "arm64", Targets: []entry.Target{{Name: "ride4_sa8775p_sx"}}, ExportFormat: "simg"},
		IsDisk:     true,
		Artifacts: []revision.Artifact{
			{Type: "application/vnd.automotive.disk.simg+lz4", Reference: at, Digest: disk.Layers[0].Digest, SizeBytes: 100, Format: "simg", Title: "boot_a.simg", Partition: "boot_a", Compression: "lz4", DecompressedSize: 1 << 20},
			{Type: "application/vnd.automotive.disk.simg", Reference: at, Digest: disk.Layers[1].Digest, SizeBytes: 200, Format: "simg", Title: "system_a.simg", Partition: "system_a"},
			{Type: "application/vnd.oci.image.layer.v1.tar+gzip", Reference: at, Digest: disk.Layers[2].Digest, SizeBytes: 300, Format: "simg", Title: "meta.simg", Partition: "meta", Compression: "gzip"},
		},
	}
	if diff := cmp.Diff(want, image, unread); diff != "" {
		t.Error(diff)
	}
}

func TestDiskFormats(t *testing.T) {
	for mediaType, want := range map[string][3]any{
		"application/vnd.automotive.disk.raw":         {"raw", "", true},
		"application/vnd.automotive.disk.raw+xz":      {"raw", "xz", true},
		"application/vnd.automotive.disk.qcow2+gzip":  {"qcow2", "gzip", true},
		"application/vnd.automotive.disk.simg+lz4":    {"simg", "lz4", true},
		"application/vnd.automotive.disk.":            {"", "", false},
		"application/vnd.automotive.disk.+gzip":       {"", "gzip", false},
		"application/vnd.oci.image.layer.v1.tar+gzip": {"", "gzip", true},
		"application/vnd.oci.image.layer.v1.tar":      {"", "", true},
		"application/vnd.oci.image.layer.v1.tarmac":   {"", "", false},
		"application/vnd.oci.image.config.v1+json":    {"", "", false},
		"": {"", "", false},
	} {
		format, compression, ok := diskFormat(mediaType)
		if got := [3]any{format, compression, ok}; got != want {
			t.Errorf("%s: %v, want %v", mediaType, got, want)
		}
	}
}

// What is a disk image, and what only looks like one.
func TestDiskShapes(t *testing.T) {
	const raw = "application/vnd.automotive.disk.raw+xz"
	file := func(mediaType string) ocispec.Descriptor {
		d := layer("disk", 10)
		d.MediaType = mediaType
		return d
	}
	empty := ocispec.DescriptorEmptyJSON
	for _, tt := range []struct {
		name         string
		artifactType string
		config       ocispec.Descriptor
		layer        ocispec.Descriptor
		annotations  map[string]string
		want         []string // format, compression and title of each file
	}{
		{"a disk", raw, empty, file(raw), nil, []string{"raw xz "}},
		{"as it was before artifact types", "", ocispec.Descriptor{MediaType: raw, Digest: empty.Digest, Size: 2}, file("application/octet-stream"), nil, []string{"raw  "}},
		{"an artifact without a type", "", empty, file(raw), nil, []string{"raw xz "}},
		{"a tar file", "application/vnd.oci.image.layer.v1.tar+gzip", empty, file("application/vnd.oci.image.layer.v1.tar+gzip"),
			map[string]string{automotive + "export-format": "simg"}, []string{"simg gzip "}},
		{"a name among the parts", raw, empty, file(raw), map[string]string{automotive + "parts": "system.img"}, []string{"raw xz system.img"}},
		{"parts that are not its own", raw, empty, file(raw), map[string]string{automotive + "parts": "a.img,b.img"}, []string{"raw xz "}},
		{"a container", "", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig}, file(ocispec.MediaTypeImageLayerGzip), nil, nil},
		{"a chart", "application/vnd.cncf.helm", empty, file("application/vnd.cncf.helm.chart"), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			if tt.config.MediaType == ocispec.MediaTypeImageConfig {
				tt.config = m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "arm64", OS: "linux"}})
			}
			image := manifest(tt.config, tt.layer)
			image.ArtifactType, image.Annotations = tt.artifactType, tt.annotations
			m.put(t, tag, ocispec.MediaTypeImageManifest, image)
			found := m.mustInspect(t)
			var got []string
			for _, a := range found.Artifacts {
				got = append(got, a.Format+" "+a.Compression+" "+a.Title)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(got) > 0 && found.Metadata.ExportFormat != found.Artifacts[0].Format {
				t.Errorf("the image's format is %q", found.Metadata.ExportFormat)
			}
		})
	}
}
