package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What says what: the index before its manifests, a manifest before its
// configuration's labels; only for the architecture the configuration is the
// better witness.
func TestMetadataWitnesses(t *testing.T) {
	keys := func(distro, target, arch string) map[string]string {
		return map[string]string{automotive + "distro": distro, automotive + "target": target, automotive + "arch": arch}
	}
	platform := ocispec.Platform{Architecture: "arm64", OS: "linux", Variant: "v8"}
	qemu, rpi := []entry.Target{{Name: "qemu"}}, []entry.Target{{Name: "rpi4"}}
	for _, tt := range []struct {
		name                    string
		index, manifest, labels map[string]string
		config                  ocispec.Platform
		want                    entry.Metadata
	}{
		{"nobody", nil, nil, nil, ocispec.Platform{}, entry.Metadata{}},
		{"the manifest", nil, keys("autosd", "qemu", "x86_64"), nil, ocispec.Platform{}, entry.Metadata{Distro: "autosd", Targets: qemu, Architecture: "amd64"}},
		{"the labels", nil, nil, keys("cs9", "rpi4", "aarch64"), ocispec.Platform{}, entry.Metadata{Distro: "cs9", Targets: rpi, Architecture: "arm64"}},
		{"the manifest before the labels", nil, keys("autosd", "", ""), keys("cs9", "rpi4", ""), platform, entry.Metadata{Distro: "autosd", Targets: rpi, Architecture: "arm64", OS: "linux", Variant: "v8"}},
		{"the index before the manifest", keys("autosd", "qemu", ""), keys("cs9", "rpi4", ""), nil, platform, entry.Metadata{Distro: "autosd", Targets: qemu, Architecture: "arm64", OS: "linux", Variant: "v8"}},
		{"the configuration before the annotation", nil, keys("", "", "x86_64"), nil, platform, entry.Metadata{Architecture: "arm64", OS: "linux", Variant: "v8"}},
		{"bootc", nil, nil, map[string]string{"containers.bootc": "1"}, platform, entry.Metadata{Architecture: "arm64", OS: "linux", Variant: "v8", Bootc: true, BuildMode: "bootc"}},
		{"bootc, in a word", nil, nil, map[string]string{"containers.bootc": "true"}, ocispec.Platform{}, entry.Metadata{Bootc: true, BuildMode: "bootc"}},
		{"not bootc", nil, nil, map[string]string{"containers.bootc": "0"}, ocispec.Platform{}, entry.Metadata{}},
		{"bootc as an annotation is nobody's word", nil, map[string]string{"containers.bootc": "1"}, nil, ocispec.Platform{}, entry.Metadata{}},
		{"export format", nil, map[string]string{automotive + "export-format": "simg"}, nil, ocispec.Platform{}, entry.Metadata{ExportFormat: "simg"}},
		{"keys without the prefix", nil, map[string]string{"distro": "x", "target": "y"}, nil, ocispec.Platform{}, entry.Metadata{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: tt.config, Config: ocispec.ImageConfig{Labels: tt.labels}})
			image := manifest(config, layer("a", 1))
			image.Annotations = tt.manifest
			child := m.put(t, tag, ocispec.MediaTypeImageManifest, image)
			if tt.index != nil {
				list := index(child)
				list.Annotations = tt.index
				m.put(t, tag, ocispec.MediaTypeImageIndex, list)
			}
			if diff := cmp.Diff(tt.want, m.mustInspect(t).Metadata); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCreationTimes(t *testing.T) {
	year := func(y int) *time.Time {
		at := time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
		return &at
	}
	for _, tt := range []struct {
		name       string
		configs    []*time.Time
		annotation string
		want       *entry.Time
	}{
		{"none", []*time.Time{nil}, "", nil},
		{"of the configuration", []*time.Time{&built}, "2020-01-01T00:00:00Z", at(built)},
		{"of the annotation", []*time.Time{nil}, "2020-01-01T00:00:00Z", at(*year(2020))},
		{"an annotation that is no time", []*time.Time{nil}, "yesterday", nil},
		{"the newest of several", []*time.Time{year(2021), year(2023), year(2022)}, "", at(*year(2023))},
		{"the zero time, which says nothing", []*time.Time{{}}, "", nil},
		{"the zero time of one platform", []*time.Time{{}, year(2021)}, "", at(*year(2021))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			var children []ocispec.Descriptor
			for i, created := range tt.configs {
				config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Created: created, Platform: ocispec.Platform{Architecture: fmt.Sprint("a", i), OS: "linux"}})
				child := manifest(config, layer("a", 1))
				child.Annotations = map[string]string{ocispec.AnnotationCreated: tt.annotation}
				children = append(children, m.put(t, fmt.Sprint("child", i), ocispec.MediaTypeImageManifest, child))
			}
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
			if diff := cmp.Diff(tt.want, m.mustInspect(t).Observed.CreatedAt); diff != "" {
				t.Error(diff)
			}
		})
	}
}
