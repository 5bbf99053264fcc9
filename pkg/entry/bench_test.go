package entry

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func sampleDocument(name string) *Document {
	created := NewTime(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))
	d := digest.FromString(name)
	return &Document{
		Name: name, Version: "1.4.0", Description: "AutoSD for the virtual board",
		Image:    Image{Reference: "registry.example.com/automotive/autosd:1.4.0", Digest: d, MediaType: "application/vnd.oci.image.index.v1+json", Size: 900},
		Tags:     []string{"nightly", "qa"},
		Metadata: Metadata{OS: "linux", Distro: "autosd", DistroVersion: "10", Targets: []Target{{Name: "qemu", Verified: true}, {Name: "rpi4"}}, Bootc: true, BuildMode: "bootc"},
		Registry: Observed{CreatedAt: &created, SizeBytes: 1 << 30, LayerCount: 60, Platforms: []Platform{
			{Architecture: "amd64", OS: "linux", Digest: d, SizeBytes: 1 << 29, LayerCount: 30},
			{Architecture: "arm64", OS: "linux", Digest: d, SizeBytes: 1 << 29, LayerCount: 30}}},
		Source: Source{Type: SourceManual}, Labels: map[string]string{"team": "platform"},
		PublishedAt: created, PublishedBy: "ci@build-7",
	}
}

func BenchmarkUnpack(b *testing.B) {
	p, err := Pack(sampleDocument("autosd-qemu"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p.Manifest)))
	for b.Loop() {
		if _, err := Unpack(p.Tag, p.Manifest); err != nil {
			b.Fatal(err)
		}
	}
}
