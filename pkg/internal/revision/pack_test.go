package revision

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestPackUnpackRoundTrip(t *testing.T) {
	minimal := &Document{
		Name:   "a",
		Image:  Image{Reference: "oci:./images:1", Digest: digest.FromString("a"), MediaType: ocispec.MediaTypeImageManifest},
		Source: entry.Source{Type: entry.SourceExternal}, PublishedAt: entry.NewTime(time.UnixMilli(0)),
	}
	for _, document := range []*Document{minimal, sampleDocument("autosd-qemu"), fullDocument()} {
		t.Run(document.Name, func(t *testing.T) {
			packed := mustPack(t, document)
			want := &Revision{Tag: packed.Tag, Digest: packed.Descriptor.Digest, Size: packed.Descriptor.Size, Document: document}
			if diff := cmp.Diff(want, mustUnpack(t, packed)); diff != "" {
				t.Error(diff)
			}
			tag, ok := ParseTag(packed.Tag.String())
			if !ok || tag != NewTag(document.Name, document.PublishedAt, OpPublish, packed.Descriptor.Digest) {
				t.Errorf("tag %s", packed.Tag)
			}
		})
	}
}

func TestPackRemovalRoundTrip(t *testing.T) {
	removal := sampleRemoval("autosd")
	packed, err := PackRemoval(removal, Seen{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Revision{Tag: packed.Tag, Digest: packed.Descriptor.Digest, Size: packed.Descriptor.Size, Removal: removal}
	if diff := cmp.Diff(want, mustUnpack(t, packed)); diff != "" {
		t.Error(diff)
	}
	wantAnnotations := map[string]string{
		"org.opencontainers.image.created": "2026-03-01T10:01:00.000Z",
		"org.opencontainers.image.title":   "autosd",
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(packed.Manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAnnotations, manifest.Annotations); diff != "" || manifest.ArtifactType != "application/vnd.caib.catalog.removal.v1+json" {
		t.Errorf("artifact type %s\n%s", manifest.ArtifactType, diff)
	}
}

// The manifest, field by field, as design section 3.1 has it: nothing more.
func TestRevisionManifestShape(t *testing.T) {
	packed := mustPack(t, fullDocument())
	document := packed.Blobs[1].Content
	var got any
	if err := json.Unmarshal(packed.Manifest, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"schemaVersion": 2.0,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"artifactType":  "application/vnd.caib.catalog.entry.v1+json",
		"config": map[string]any{
			"mediaType": "application/vnd.oci.empty.v1+json", "size": 2.0,
			"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
		},
		"layers": []any{map[string]any{
			"mediaType": "application/vnd.caib.catalog.entry.v1+json", "size": float64(len(document)),
			"digest": digest.FromBytes(document).String(), "data": base64.StdEncoding.EncodeToString(document),
		}},
		"annotations": map[string]any{
			"org.opencontainers.image.created":              "2026-03-01T10:00:00.000Z",
			"org.opencontainers.image.title":                "autosd.full",
			"org.opencontainers.image.version":              "2.0.1+rc~1",
			"automotive.sdv.cloud.redhat.com/distro":        "autosd",
			"automotive.sdv.cloud.redhat.com/target":        "rpi4",
			"automotive.sdv.cloud.redhat.com/arch":          "arm64",
			"automotive.sdv.cloud.redhat.com/export-format": "qcow2",
			"vnd.caib.catalog.image":                        "registry.example.com/automotive/autosd:2.0.1",
			"vnd.caib.catalog.image-digest":                 digest.FromString("full").String(),
		},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestPackedBlobsAndDescriptor(t *testing.T) {
	packed := mustPack(t, sampleDocument("autosd"))
	document := packed.Blobs[1].Content
	want := &Packed{
		Tag: packed.Tag, Manifest: packed.Manifest,
		Descriptor: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: MediaTypeEntry,
			Digest: digest.FromBytes(packed.Manifest), Size: int64(len(packed.Manifest)),
		},
		Blobs: []Blob{
			{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digest.FromString("{}"), Size: 2}, Content: []byte("{}")},
			{Descriptor: ocispec.Descriptor{MediaType: MediaTypeEntry, Digest: digest.FromBytes(document), Size: int64(len(document))}, Content: document},
		},
	}
	if diff := cmp.Diff(want, packed); diff != "" {
		t.Error(diff)
	}
	if again := mustPack(t, sampleDocument("autosd")); again.Descriptor.Digest != packed.Descriptor.Digest {
		t.Error("packing the same document twice gives two manifests")
	}
}

func TestFacetsStaySmall(t *testing.T) {
	edge, over := strings.Repeat("v", 256), strings.Repeat("v", 257)
	var many []string
	wantMany := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("k%02d", i)
		many = append(many, key, edge)
		if i < 7 { // 7 * (3 + 256) bytes fit into 2 KiB, 8 do not
			wantMany[key] = edge
		}
	}
	wantMany["last"] = "small"
	for _, tt := range []struct {
		name  string
		pairs []string
		want  map[string]string
	}{
		{"empty values are left out", []string{"a", "", "b", "1"}, map[string]string{"b": "1"}},
		{"256 bytes are the most", []string{"a", edge, "b", over}, map[string]string{"a": edge}},
		{"bytes count, not characters", []string{"a", strings.Repeat("ä", 129)}, map[string]string{}},
		{"2 KiB are the most for all", append(many, "last", "small"), wantMany},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, facets(tt.pairs...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLongFieldsLeaveFacetsOut(t *testing.T) {
	document := fullDocument()
	document.Image.Reference = "registry.example.com/" + strings.Repeat("x", 300) + ":1"
	document.Metadata.Distro = strings.Repeat("ä", 129)     // valid: 129 characters, but 258 bytes
	document.Metadata.ExportFormat = strings.Repeat("é", 2) // stays
	var manifest ocispec.Manifest
	if err := json.Unmarshal(mustPack(t, document).Manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{AnnotationImage, AnnotationDistro, ocispec.AnnotationRefName} {
		if value, ok := manifest.Annotations[key]; ok {
			t.Errorf("%s: %s", key, value)
		}
	}
	if got := manifest.Annotations[AnnotationExportFormat]; got != "éé" {
		t.Errorf("export format %q", got)
	}
}

func TestAttachmentRoundTrip(t *testing.T) {
	revision := mustPack(t, fullDocument())
	subject := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("image"), Size: 77,
		Annotations: map[string]string{"x": "y"}, URLs: []string{"https://example.com"}, Platform: &ocispec.Platform{OS: "linux"},
	}
	packed, err := PackAttachment(revision.Manifest, "registry.example.com/team/catalog", subject)
	if err != nil {
		t.Fatal(err)
	}
	back, err := UnpackAttachment(packed.Manifest)
	if diff := cmp.Diff(revision.Manifest, back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var got, original ocispec.Manifest
	if err := errors.Join(json.Unmarshal(packed.Manifest, &got), json.Unmarshal(revision.Manifest, &original)); err != nil {
		t.Fatal(err)
	}
	want := original // the same config, artifact type and facets
	want.Annotations = maps.Clone(original.Annotations)
	want.Annotations["vnd.caib.catalog.reference"] = "registry.example.com/team/catalog"
	want.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: subject.Digest, Size: 77}
	want.Layers = []ocispec.Descriptor{{
		MediaType: "application/vnd.caib.catalog.revision.v1+json", Digest: revision.Descriptor.Digest, Size: int64(len(revision.Manifest)), Data: revision.Manifest,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if packed.Tag != (Tag{}) {
		t.Errorf("an attachment has the tag %s", packed.Tag)
	}
	for _, catalog := range []string{"", "registry.example.com/" + strings.Repeat("x", 236)} {
		packed, err := PackAttachment(revision.Manifest, catalog, subject)
		if err != nil || strings.Contains(string(packed.Manifest), `"vnd.caib.catalog.reference"`) {
			t.Errorf("catalog of %d bytes: %v, %s; want no annotation", len(catalog), err, packed.Manifest)
		}
	}
}

func TestUnpackAttachmentRejects(t *testing.T) {
	packed, err := PackAttachment(mustPack(t, sampleDocument("a")).Manifest, "", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("i"), Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	layer := func(o map[string]any) map[string]any { return at(o, "layers", 0).(map[string]any) }
	for _, tt := range []struct {
		name string
		edit func(map[string]any)
	}{
		{"altered data", func(o map[string]any) { layer(o)["data"] = base64.StdEncoding.EncodeToString([]byte("{}")) }},
		{"another digest", func(o map[string]any) { layer(o)["digest"] = digest.FromString("x").String() }},
		{"no data", func(o map[string]any) { delete(layer(o), "data") }},
		{"another layer type", func(o map[string]any) { layer(o)["mediaType"] = MediaTypeEntry }},
		{"no layers", func(o map[string]any) { o["layers"] = []any{} }},
		{"two layers", func(o map[string]any) { o["layers"] = []any{layer(o), layer(o)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text, err := UnpackAttachment(altered(t, packed.Manifest, tt.edit)); !errors.Is(err, entry.ErrMalformed) {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	if _, err := UnpackAttachment([]byte("<html>")); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("not JSON: %v", err)
	}
	if _, err := PackAttachment([]byte("<html>"), "", ocispec.Descriptor{}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("attaching what is not JSON: %v", err)
	}
}
