package imagebuild

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	ofImage = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	ofDisk  = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// said is a build of which metadata, spec and status say something besides.
func said(t *testing.T, metadata, spec, status string) Build {
	t.Helper()
	builds, err := Parse(fmt.Appendf(nil, "apiVersion: %s\nkind: ImageBuild\nmetadata:\n  name: b\n%sspec:\n%sstatus:\n  phase: Completed\n%s", apiVersion, metadata, spec, status), "f")
	if err != nil || len(builds) != 1 {
		t.Fatalf("%d builds, %v", len(builds), err)
	}
	return builds[0]
}

func TestEntryName(t *testing.T) {
	const annotation, label = "  annotations:\n    " + catalogName + ": ", "  labels:\n    " + scheduled + ": "
	for _, tt := range []struct{ name, metadata, want, fails string }{
		{"nothing", "", "", ""},
		{"a schedule", label + "nightly\n", "nightly", ""},
		{"an annotation", annotation + "autosd-rpi4\n", "autosd-rpi4", ""},
		{"both", label + "nightly\n" + annotation + "autosd-rpi4\n", "autosd-rpi4", ""},
		{"an empty annotation", label + "nightly\n" + annotation + "\"\"\n", "nightly", ""},
		{"an annotation that is null", label + "nightly\n" + annotation + "\n", "nightly", ""},
		{"other letters", annotation + "Autosd\n", "", `f:6: build "b": annotation automotive.sdv.cloud.redhat.com/catalog-image-name: invalid: name "Autosd"`},
		{"control characters", label + "\"n\\e[2J\"\n", "", `f:6: build "b": label automotive.sdv.cloud.redhat.com/scheduledimagebuild-name: invalid: name "n\x1b[2J"`},
		{"a path", annotation + "../../x\n", "", `name "../../x"`},
		{"a long name", annotation + strings.Repeat("a", 1<<20) + "\n", "", `aaa…": want at most 96`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := said(t, tt.metadata, "  {}\n", "")
			got, err := b.EntryName()
			if got != tt.want || (err == nil) != (tt.fails == "") || err != nil && (!errors.Is(err, entry.ErrName) || !strings.Contains(err.Error(), tt.fails) || len(err.Error()) > 1000) {
				t.Errorf("got %q, %.1000v, want %q, %q", got, err, tt.want, tt.fails)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	const both, disk = "  export: {container: r.example.com/c, disk: {oci: r.example.com/d}}\n", "  export: {disk: {oci: r.example.com/d}}\n"
	for _, tt := range []struct{ name, spec, status, image, disk, fails string }{
		{"none", both, "", "", "", ""},
		{"of a container", both, "  imageDigest: " + ofImage + "\n", ofImage, "", ""},
		{"at the end of a reference", both, "  containerDigest: r.example.com/c@" + ofImage + "\n", ofImage, "", ""},
		{"of both", both, "  digest: " + ofImage + "\n  diskDigest: " + ofDisk + "\n", ofImage, ofDisk, ""},
		{"of a disk alone", disk, "  diskDigest: " + ofDisk + "\n", ofDisk, "", ""},
		{"of a disk alone, as the image", disk, "  imageDigest: " + ofDisk + "\n", ofDisk, "", ""},
		{"empty", both, "  imageDigest: \"\"\n  digest: " + ofImage + "\n", ofImage, "", ""},
		{"of another algorithm", both, "  imageDigest: md5:d41d8cd98f00b204e9800998ecf8427e\n", "", "", `invalid: f:9: the build's digest "md5:`},
		{"short", both, "  diskDigest: sha256:ab\n", "", "", `f:9: the build's digest "sha256:ab": want sha256: and 64`},
		{"long", both, "  diskDigest: sha256:" + strings.Repeat("a", 1<<20) + "\n", "", "", `aaa"…: want sha256: and 64`},
		{"with control characters", both, "  digest: \"\\e[2J\"\n", "", "", `digest "\x1b[2J": want`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := said(t, "", tt.spec, tt.status)
			image, disk, err := b.Digests()
			if tt.fails != "" {
				if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), tt.fails) || len(err.Error()) > 1000 {
					t.Errorf("got %.1000v, want %s", err, tt.fails)
				}
				return
			}
			if image.String() != tt.image || disk.String() != tt.disk || err != nil {
				t.Errorf("got %q and %q, %v, want %q and %q", image, disk, err, tt.image, tt.disk)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	b := said(t, "", "  {}\n", "  startTime: 2026-03-01T10:00:00Z\n  completionTime: 2026-03-01T12:00:00+01:00\n")
	began, completed, err := b.Times()
	if !began.Equal(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) || !completed.Equal(time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)) || err != nil {
		t.Errorf("got %s and %s, %v", began, completed, err)
	}
	b = said(t, "", "  {}\n", "  startTime: soon\n")
	if began, completed, err := b.Times(); !began.IsZero() || !completed.IsZero() || err != nil {
		t.Errorf("got %s and %s, %v, want neither", began, completed, err)
	}
	b = said(t, "", "  {}\n", "  completionTime: \"\\e[2J\"\n")
	if _, _, err := b.Times(); !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), `f:9: status.completionTime "\x1b[2J": want a time`) {
		t.Errorf("got %v", err)
	}
}

// The format that was resolved when the build was made comes before the one that was
// asked for.
func TestResolvedExportFormat(t *testing.T) {
	for status, want := range map[string]string{"": "qcow2", "  resolvedExportFormat: simg\n": "simg", "  resolvedExportFormat: image\n": "raw"} {
		if got := said(t, "", "  export: {format: qcow2}\n", status).Metadata.ExportFormat; got != want {
			t.Errorf("%q: got %q, want %q", status, got, want)
		}
	}
}

// The first versions of the operator had no groups in spec.
func TestFlatSpec(t *testing.T) {
	got := said(t, "", "  {distro: cs9, target: qemu, mode: bootc, exportFormat: qcow2, containerPush: r.example.com/c, exportOci: r.example.com/d}\n", "")
	want := Build{
		Name: "b", Phase: "Completed", Container: "r.example.com/c", Disk: "r.example.com/d", Position: "f:1", Labels: map[string]string{},
		Metadata: entry.Metadata{Distro: "cs9", Targets: []entry.Target{{Name: "qemu", Verified: true}}, Bootc: true, BuildMode: "bootc", ExportFormat: "qcow2"},
		Source:   entry.Source{Type: entry.SourceImageBuild, ImageBuild: "b"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
