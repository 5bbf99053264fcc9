package revision

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

var sampleTime = entry.NewTime(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))

func sampleDocument(name string) *Document {
	created, d := sampleTime, digest.FromString(name)
	return &Document{
		Name: name, Version: "1.4.0", Description: "AutoSD for the virtual board",
		Image:    Image{Reference: "registry.example.com/automotive/autosd:1.4.0", Digest: d, MediaType: "application/vnd.oci.image.index.v1+json", Size: 900},
		Tags:     []string{"nightly", "qa"},
		Metadata: entry.Metadata{OS: "linux", Distro: "autosd", DistroVersion: "10", Targets: []entry.Target{{Name: "qemu", Verified: true}, {Name: "rpi4"}}, Bootc: true, BuildMode: "bootc"},
		Registry: Observed{CreatedAt: &created, SizeBytes: 1 << 30, LayerCount: 60, Platforms: []entry.Platform{
			{Architecture: "amd64", OS: "linux", Digest: d, SizeBytes: 1 << 29, LayerCount: 30},
			{Architecture: "arm64", OS: "linux", Digest: d, SizeBytes: 1 << 29, LayerCount: 30}}},
		Source: entry.Source{Type: entry.SourceManual}, Labels: map[string]string{"team": "platform"},
		PublishedAt: created, PublishedBy: "ci@build-7",
		Build: entry.Build{System: "gitlab-ci", URL: "https://gitlab.example.com/os/autosd/-/jobs/77", Commit: "ce9a3c1404e8c91be604088670e93434c4253f03", Ref: "main"},
	}
}

// fullDocument sets every field of the format.
func fullDocument() *Document {
	built, d := entry.NewTime(sampleTime.Add(-time.Hour)), digest.FromString("full")
	return &Document{
		Name: "autosd.full", Version: "2.0.1+rc~1", Description: "Everything: größer, 日本, <b>&amp;</b> \"quoted\" \\ /",
		Image: Image{Reference: "registry.example.com/automotive/autosd:2.0.1", Digest: d, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1234},
		Tags:  []string{"release", "team/qa"},
		Metadata: entry.Metadata{
			Architecture: "arm64", OS: "linux", Variant: "v8", Distro: "autosd", DistroVersion: "10", KernelVersion: "6.12.0-55.el10",
			Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "booted in the lab"}, {Name: "qemu"}},
			Bootc:   true, BuildMode: "image", ExportFormat: "qcow2",
		},
		Registry: Observed{CreatedAt: &built, SizeBytes: 1<<53 - 1, LayerCount: 67, Platforms: []entry.Platform{
			{Architecture: "arm64", OS: "linux", Variant: "v8", Digest: digest.FromString("arm"), SizeBytes: 700, LayerCount: 40},
			{Architecture: "amd64", OS: "linux", Digest: digest.FromString("amd"), SizeBytes: 600, LayerCount: 27},
		}, Referrers: []Referrer{{
			Type: "application/vnd.dev.sigstore.bundle.v0.3+json", PredicateType: "https://slsa.dev/provenance/v1", Digest: digest.FromString("bundle"),
			SizeBytes: 900, Title: "provenance.json", FileDigest: digest.FromString("file"), Subject: digest.FromString("arm"),
		}}},
		Artifacts: []Artifact{{
			Type: "application/vnd.automotive.disk.qcow2+gzip", Reference: "registry.example.com/automotive/disk:2.0.1", Digest: digest.FromString("disk"),
			SizeBytes: 4096, Format: "qcow2", Title: "disk.qcow2.gz", Partition: "root", Compression: "gzip", DecompressedSize: 1 << 33,
		}},
		Source:      entry.Source{Type: entry.SourceScheduled, ImageBuild: "autosd-nightly-77", Schedule: "autosd-nightly"},
		Labels:      map[string]string{"team": "platform", "verification-interval": "30m"},
		Mismatches:  []Mismatch{{Field: "distro", Image: "autosd", Publisher: "cs9", Overridden: true}},
		PublishedAt: sampleTime, PublishedBy: "ci@build-7",
		Build: entry.Build{System: "github-actions", URL: "https://ci.example.com/os/autosd/actions/runs/77", Commit: "ce9a3c1404e8c91be604088670e93434c4253f03", Ref: "refs/heads/größer"},
	}
}

func sampleRemoval(name string) *Removal {
	return &Removal{
		Name: name, Reason: "superseded", RemovedAt: entry.NewTime(sampleTime.Add(time.Minute)),
		RemovedBy: "ops@example.com", Revision: digest.FromString("ended"),
	}
}

func mustPack(t testing.TB, document *Document) *Packed {
	t.Helper()
	packed, err := Pack(document, Seen{})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func mustUnpack(t testing.TB, packed *Packed) *Revision {
	t.Helper()
	revision, err := Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// sealed makes a revision of a document that Pack would not take: digests and
// tag are right, only the document is somebody else's.
func sealed(t testing.TB, op Op, name string, at entry.Time, document []byte) (Tag, []byte) {
	t.Helper()
	mediaType := MediaTypeEntry
	if op == OpRemove {
		mediaType = MediaTypeRemoval
	}
	packed, err := packManifest(mediaType, mediaType, document, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewTag(name, at, op, packed.Descriptor.Digest), packed.Manifest
}

// altered changes the JSON object text by edit, wherever that leads.
func altered(t testing.TB, text []byte, edit func(object map[string]any)) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	edit(object)
	out, err := canonical(object)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// at returns what stands below keys (object names and array indexes).
func at(object any, keys ...any) any {
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			object = object.(map[string]any)[k]
		case int:
			object = object.([]any)[k]
		}
	}
	return object
}

// mustText returns the document that a manifest embeds.
func mustText(t testing.TB, manifest []byte) []byte {
	t.Helper()
	text, err := DocumentText(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
