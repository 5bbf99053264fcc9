package revision

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fields that clients of the HTTP API read.
const contractFields = `name registryUrl digest tags phase architecture distro distroVersion targets bootc
	sizeBytes layerCount lastVerified publishedAt createdAt sourceImageBuild sourceType scheduleName buildMode
	exportFormat labels artifactRefs downloadUrl isMultiArch platformVariants accessCount statusReason
	statusMessage version description kernelVersion publishedBy build revision verdict signers conditions`

// fields that we show besides.
const ourFields = "location imageCreatedAt referrers catalog"

// fullItem is the item of a document that sets everything, with the fields
// that others than the document fill.
func fullItem(t *testing.T) entry.Item {
	t.Helper()
	item := mustUnpack(t, mustPack(t, fullDocument())).Item()
	item.StatusReason, item.StatusMessage = "ManifestUnknown", "the image was deleted"
	item.Verdict, item.Catalog, item.AccessCount = "verified", "registry.example.com/team/catalog", 3
	item.Location = "mirror.corp/ex/automotive/disk@" + item.Digest.String()
	item.Signers = []entry.Signer{{Name: "key team.pub", What: "entry", Format: "bundle", Time: &item.PublishedAt}}
	return item
}

func TestItemJSON(t *testing.T) {
	got, err := json.MarshalIndent(fullItem(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	golden := filepath.Join("testdata", "item.golden.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("after a change that is meant: go test -run TestItemJSON -update\n%s", diff)
	}
	var fields map[string]any
	if err := json.Unmarshal(got, &fields); err != nil {
		t.Fatal(err)
	}
	wantFields := strings.Fields(contractFields + " " + ourFields)
	slices.Sort(wantFields)
	if diff := cmp.Diff(wantFields, slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Errorf("fields:\n%s", diff)
	}
}

func TestItemPartsJSON(t *testing.T) {
	item := fullItem(t)
	for _, tt := range []struct {
		part any
		want string // those fields, then ours
	}{
		{item.Targets[0], "name notes verified"},
		{item.ArtifactRefs[0], "type url digest sizeBytes format title partition compression decompressedSize"},
		{item.Referrers[0], "kind type url digest sizeBytes title fileDigest platform"},
		{item.Conditions[0], "type status reason message lastTransitionTime"},
		{item.Signers[0], "name what format time"},
		{item.PlatformVariants[0], "architecture os variant digest sizeBytes layerCount"},
	} {
		text, err := json.Marshal(tt.part)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(tt.want)
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(fields))); diff != "" {
			t.Errorf("%T:\n%s", tt.part, diff)
		}
	}
}

func TestItemOfAMinimalDocument(t *testing.T) {
	document := &Document{
		Name: "a", Image: sampleDocument("a").Image, Source: entry.Source{Type: entry.SourceExternal}, PublishedAt: sampleTime,
	}
	packed := mustPack(t, document)
	got, err := json.Marshal(mustUnpack(t, packed).Item())
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(got, &fields); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "a", "registryUrl": document.Image.Reference, "digest": document.Image.Digest.String(),
		"phase": "Available", "bootc": false, "isMultiArch": false, "accessCount": 0.0, "sourceType": "External",
		"lastVerified": "2026-03-01T10:00:00.000Z", "publishedAt": "2026-03-01T10:00:00.000Z", "createdAt": "2026-03-01T10:00:00.000Z",
		"downloadUrl": entry.Pinned(document.Image.Reference, document.Image.Digest), "revision": packed.Descriptor.Digest.String(),
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

// Every field of an item is set by fullItem, so that the golden file cannot
// miss one that is added later.
func TestFullItemIsFull(t *testing.T) {
	item := reflect.ValueOf(fullItem(t))
	for i := range item.NumField() {
		if item.Field(i).IsZero() {
			t.Errorf("%s is not set", item.Type().Field(i).Name)
		}
	}
}

func TestItemArchitectures(t *testing.T) {
	variant := func(a string) entry.Platform { return entry.Platform{Architecture: a} }
	for _, tt := range []struct {
		name string
		item entry.Item
		want []string
	}{
		{"none", entry.Item{}, nil},
		{"single", entry.Item{Architecture: "arm64"}, []string{"arm64"}},
		{"index", entry.Item{PlatformVariants: []entry.Platform{variant("arm64"), variant("amd64")}}, []string{"arm64", "amd64"}},
		{"variants of one", entry.Item{PlatformVariants: []entry.Platform{variant("arm"), variant("arm")}}, []string{"arm"}},
		{"the index knows better", entry.Item{Architecture: "x", PlatformVariants: []entry.Platform{variant("arm64")}}, []string{"arm64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.item.Architectures()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIsMultiArch(t *testing.T) {
	document := fullDocument()
	document.Registry.Platforms = document.Registry.Platforms[:1]
	if item := mustUnpack(t, mustPack(t, document)).Item(); item.IsMultiArch {
		t.Error("one platform counts as several")
	}
	if item := fullItem(t); !item.IsMultiArch {
		t.Error("two platforms count as one")
	}
}

// What is handed out is what was published, whatever a tag names by now.
func TestItemHandsOutDigests(t *testing.T) {
	document := fullDocument()
	image, manifest, file := document.Image, digest.FromString("manifest"), digest.FromString("disk")
	for _, tt := range []struct{ name, reference, want string }{
		{"by digest", "registry.example.com/automotive/disk@" + manifest.String(), "registry.example.com/automotive/disk@" + manifest.String()},
		{"by tag and digest", "registry.example.com/automotive/disk:2@" + manifest.String(), "registry.example.com/automotive/disk@" + manifest.String()},
		{"the image itself, by tag", image.Reference, "registry.example.com/automotive/autosd@" + image.Digest.String()},
		{"another manifest, by tag", "registry.example.com/automotive/disk:2", "registry.example.com/automotive/disk@" + file.String()},
		{"a layout, by digest", "oci:/srv/disk:2@" + manifest.String(), "oci:/srv/disk@" + manifest.String()},
	} {
		document.Artifacts[0].Reference = tt.reference
		item := mustUnpack(t, mustPack(t, document)).Item()
		if got := []string{item.ArtifactRefs[0].URL, item.DownloadURL}; got[0] != tt.want || got[1] != tt.want {
			t.Errorf("%s: url and downloadUrl are %q, want %s", tt.name, got, tt.want)
		}
		if item.RegistryURL != image.Reference {
			t.Errorf("%s: registryUrl is %s, want %s as published", tt.name, item.RegistryURL, image.Reference)
		}
	}
	document.Artifacts = nil
	want := "registry.example.com/automotive/autosd@" + image.Digest.String()
	if item := mustUnpack(t, mustPack(t, document)).Item(); item.DownloadURL != want {
		t.Errorf("downloadUrl without artifacts is %s, want %s", item.DownloadURL, want)
	}
}
