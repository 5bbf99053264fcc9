package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func TestMerge(t *testing.T) {
	image := entry.Metadata{
		Architecture: "arm64", OS: "linux", Variant: "v8", Distro: "autosd", DistroVersion: "10", KernelVersion: "6.12",
		Targets: []entry.Target{{Name: "rpi4"}}, Bootc: true, BuildMode: "bootc", ExportFormat: "qcow2",
	}
	other := entry.Metadata{
		Architecture: "X86_64", OS: "other", Variant: "v9", Distro: "cs9", DistroVersion: "9", KernelVersion: "5.14",
		Targets: []entry.Target{{Name: "qemu"}}, BuildMode: "image", ExportFormat: "raw",
	}
	both := []entry.Target{{Name: "rpi4"}, {Name: "qemu"}}
	differences := func(overridden bool) (all []revision.Mismatch) {
		for _, d := range [][3]string{
			{"architecture", "arm64", "amd64"}, {"os", "linux", "other"}, {"variant", "v8", "v9"}, {"distro", "autosd", "cs9"}, {"distroVersion", "10", "9"},
			{"kernelVersion", "6.12", "5.14"}, {"buildMode", "bootc", "image"}, {"exportFormat", "qcow2", "raw"},
		} {
			all = append(all, revision.Mismatch{Field: d[0], Image: d[1], Publisher: d[2], Overridden: overridden})
		}
		return all
	}
	stands, overridden := image, other
	stands.Targets, overridden.Targets = both, both
	overridden.Architecture, overridden.Bootc = "amd64", true
	normal := other
	normal.Architecture = "amd64"
	for _, tt := range []struct {
		name             string
		image, publisher entry.Metadata
		override         bool
		want             entry.Metadata
		mismatches       []revision.Mismatch
	}{
		{"the image alone", image, entry.Metadata{}, false, image, nil},
		{"the publisher alone", entry.Metadata{}, other, false, normal, nil},
		{"the same", image, image, false, image, nil},
		{"the same, in other words", image, entry.Metadata{Architecture: "AArch64"}, false, image, nil},
		{"the image's word stands", image, other, false, stands, differences(false)},
		{"unless it is overridden", image, other, true, overridden, differences(true)},
		{"overriding with nothing", image, entry.Metadata{}, true, image, nil},
		{"a target of both", image, entry.Metadata{Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "boots"}}}, false,
			func() entry.Metadata {
				m := image
				m.Targets = []entry.Target{{Name: "rpi4", Verified: true, Notes: "boots"}}
				return m
			}(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := merger{override: tt.override}
			got := m.merge(tt.image, tt.publisher, revision.Observed{})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.mismatches, m.mismatches); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergeSeveralPlatforms(t *testing.T) {
	observed := revision.Observed{Platforms: []entry.Platform{{Architecture: "arm64"}, {Architecture: "amd64"}, {Architecture: "arm64", Variant: "v9"}}}
	for _, tt := range []struct {
		typed, want string
		override    bool
		mismatches  []revision.Mismatch
	}{
		{"", "", false, nil},
		{"x86_64", "", false, nil},
		{"x86_64", "", true, nil},
		{"riscv64", "", false, []revision.Mismatch{{Field: "architecture", Image: "arm64,amd64", Publisher: "riscv64"}}},
		{"riscv64", "riscv64", true, []revision.Mismatch{{Field: "architecture", Image: "arm64,amd64", Publisher: "riscv64", Overridden: true}}},
	} {
		m := merger{override: tt.override}
		got := m.merge(entry.Metadata{}, entry.Metadata{Architecture: tt.typed}, observed)
		if diff := cmp.Diff(tt.mismatches, m.mismatches); diff != "" || got.Architecture != tt.want {
			t.Errorf("%q, override %t: %q\n%s", tt.typed, tt.override, got.Architecture, diff)
		}
	}
}
