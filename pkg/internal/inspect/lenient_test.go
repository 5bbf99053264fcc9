package inspect

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// D15: what a config says is read as far as it can be understood; nothing in it
// keeps an image from being published.
func TestLenientConfigs(t *testing.T) {
	at := func(text string) *time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return &parsed
	}
	platform := ocispec.Platform{Architecture: "arm64", OS: "linux"}
	for _, tt := range []struct {
		name, config string
		want         ocispec.Image
	}{
		{"no time", `"created":""`, ocispec.Image{}},
		{"a time without a zone", `"created":"2026-03-01T10:00:00"`, ocispec.Image{Created: at("2026-03-01T10:00:00Z")}},
		{"a time with a space", `"created":"2026-03-01 10:00:00.5"`, ocispec.Image{Created: at("2026-03-01T10:00:00.5Z")}},
		{"a time whose zone has no colon", `"created":"2026-01-01T00:00:00+0000"`, ocispec.Image{Created: at("2026-01-01T00:00:00Z")}},
		{"a time in lower case", `"created":"2026-01-01t00:00:00.5z"`, ocispec.Image{Created: at("2026-01-01T00:00:00.5Z")}},
		{"a deep history", `"history":` + strings.Repeat(`[{"a\\\"[":`, 10000) + `"]"` + strings.Repeat(`}]`, 10000) + `,"config":{"Labels":{"a":"b"}}`,
			ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"a": "b"}}}},
		{"a number for a time", `"created":1772359200`, ocispec.Image{}},
		{"a number for a label", `"config":{"Labels":{"a":1,"b":"x","c":true,"d":null,"e":{}}}`,
			ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"a": "1", "b": "x", "c": "true"}}}},
		{"a text for a command", `"config":{"Cmd":"/bin/sh","Labels":{"a":"b"}}`, ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"a": "b"}}}},
		{"ports as a list", `"config":{"ExposedPorts":["80"]}`, ocispec.Image{}},
		{"a label twice", `"config":{"Labels":{"a":"1","a":"2"}}`, ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"a": "2"}}}},
		{"labels twice", `"config":{"Labels":{"a":"1"}},"config":{"Labels":{"b":"2"}}`, ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"b": "2"}}}},
		{"a history that is no text", "\"history\":[{\"created_by\":\"a\xff\"}]", ocispec.Image{}},
		{"a label that is no text", "\"config\":{\"Labels\":{\"a\":\"b\xff\"}}", ocispec.Image{Config: ocispec.ImageConfig{Labels: map[string]string{"a": "b\uFFFD"}}}},
		{"a config that is none", `"config":"x"`, ocispec.Image{}},
		{"labels as a list", `"config":{"Labels":["a"]}`, ocispec.Image{}},
		{"a file system that is none", `"rootfs":7`, ocispec.Image{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			text := []byte(`{"architecture":"arm64","os":"linux",` + tt.config + `}`)
			tt.want.Platform = platform
			warned := 0
			got, err := readConfig(text, func(string, ...any) { warned++ })
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" || warned == 0 {
				t.Errorf("%v, %d warnings (-want +got)\n%s", err, warned, diff)
			}
			m.put(t, tag, ocispec.MediaTypeImageManifest, manifest(m.config(t, ocispec.MediaTypeImageConfig, text), layer("a", 1)))
			image := m.mustInspect(t)
			if image.Metadata.Architecture != "arm64" || len(image.Warnings) == 0 || len(image.Warnings) > 3 {
				t.Errorf("architecture %q, warnings %q", image.Metadata.Architecture, image.Warnings)
			}
		})
	}
	if _, err := readConfig([]byte(`{"architecture":"arm64"`), func(string, ...any) {}); err == nil {
		t.Error("half a config is one")
	}
}

// The manifest too is read without what nobody needs to pull it; its digests and
// sizes are not.
func TestLenientManifests(t *testing.T) {
	plain := `"layers":[],"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + ocispec.DescriptorEmptyJSON.Digest.String() + `","size":2}`
	for name, tt := range map[string]struct{ text, distro string }{
		"a number":               {`{` + plain + `,"annotations":{"n":1,"` + automotive + `distro":"autosd"}}`, "autosd"},
		"a list":                 {`{` + plain + `,"annotations":["x"]}`, ""},
		"no text":                {"{" + plain + ",\"annotations\":{\"n\":\"\xff\"}}", ""},
		"a number as a type":     {`{` + plain + `,"artifactType":1}`, ""},
		"an annotation twice":    {`{` + plain + `,"annotations":{"n":"1","n":"2","` + automotive + `distro":"autosd"}}`, "autosd"},
		"annotations twice":      {`{` + plain + `,"annotations":{"n":"1"},"annotations":{"` + automotive + `distro":"autosd"}}`, "autosd"},
		"data that is none":      {strings.Replace(`{`+plain+`}`, `"size":2`, `"size":2,"data":"%%%"`, 1), ""},
		"a text for addresses":   {strings.Replace(`{`+plain+`}`, `"size":2`, `"size":2,"urls":"x"`, 1), ""},
		"a text for features":    {strings.Replace(`{`+plain+`}`, `"size":2`, `"size":2,"platform":{"os.features":"x"}`, 1), ""},
		"a version that is text": {`{` + plain + `,"schemaVersion":"2"}`, ""},
	} {
		m := newMemory()
		m.put(t, tag, ocispec.MediaTypeImageManifest, []byte(tt.text))
		if image := m.mustInspect(t); image.Metadata.Distro != tt.distro || len(image.Warnings) != 1 {
			t.Errorf("%s: distro %q, warnings %q", name, image.Metadata.Distro, image.Warnings)
		}
	}
	for name, text := range map[string]string{
		"a size as text":            strings.Replace(`{`+plain+`}`, `"size":2`, `"size":"2"`, 1),
		"layers as a text":          strings.Replace(`{`+plain+`}`, `"layers":[]`, `"layers":"x"`, 1),
		"a member twice":            `{` + plain + `,"layers":[]}`,
		"a member twice below":      strings.Replace(`{`+plain+`,"schemaVersion":"2"}`, `"size":2`, `"size":2,"size":2`, 1),
		"a digest that is a number": strings.Replace(`{`+plain+`}`, `"digest":"`, `"digest":1,"x":"`, 1),
	} {
		m := newMemory()
		m.put(t, tag, ocispec.MediaTypeImageManifest, []byte(text))
		image, err := m.inspect(t)
		if !errors.Is(err, entry.ErrMalformed) {
			t.Fatalf("%s: %+v, %v", name, image, err)
		}
		for _, word := range []string{"Go ", "v1.", "json:", "jsontext", "ocispec", "int64"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: the message speaks of %q: %v", name, word, err)
			}
		}
	}
}

// What stands before and behind a config does not keep its image from being
// published, nor does an odd annotation hide what refers to one.
func TestPaddedConfigsAndOddReferrers(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, []byte("\ufeff{\"architecture\":\"arm64\"}\x00\x00"))
	whole := manifest(config, layer("a", 1))
	whole.Annotations = map[string]string{ocispec.AnnotationCreated: "2026-01-01t00:00:00+0000"}
	d := m.put(t, tag, ocispec.MediaTypeImageManifest, whole)
	referrer := manifest(ocispec.DescriptorEmptyJSON, layer("sbom", 5))
	referrer.ArtifactType, referrer.Subject, referrer.Annotations = "application/spdx+json", &d, map[string]string{"n": "5"}
	text, err := json.Marshal(referrer)
	if err != nil {
		t.Fatal(err)
	}
	odd := m.put(t, "odd", ocispec.MediaTypeImageManifest, []byte(strings.Replace(string(text), `"n":"5"`, `"n":5`, 1)))
	odd.ArtifactType = referrer.ArtifactType
	m.attached[d.Digest] = append(m.attached[d.Digest], odd)
	image := m.mustInspect(t)
	if image.Metadata.Architecture != "arm64" || image.Observed.CreatedAt == nil || len(image.Observed.Referrers) != 1 {
		t.Errorf("architecture %q, created %v, referrers %v", image.Metadata.Architecture, image.Observed.CreatedAt, image.Observed.Referrers)
	}
}

// D23: a platform is what runs; what stands beside the platforms in an index is
// listed as what it is, whatever platform its index names for it.
func TestArtifactsInIndexes(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "arm64", OS: "linux"}})
	child := m.put(t, "child", ocispec.MediaTypeImageManifest, manifest(config, layer("a", 10)))
	artifact := func(artifactType string, config ocispec.Descriptor, layers ...ocispec.Descriptor) ocispec.Descriptor {
		made := manifest(config, layers...)
		made.ArtifactType = artifactType
		return m.put(t, "artifact", ocispec.MediaTypeImageManifest, made)
	}
	sbom := artifact("application/spdx+json", ocispec.DescriptorEmptyJSON, layer("sbom", 5))
	sbom.Platform = &ocispec.Platform{Architecture: "arm64", OS: "linux"}
	chart := artifact("", ocispec.Descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json", Digest: layer("chart", 1).Digest, Size: 1}, layer("c", 6))
	file := layer("disk", 7)
	file.MediaType = "application/vnd.automotive.disk.raw"
	disk := artifact("application/vnd.automotive.disk.raw", ocispec.DescriptorEmptyJSON, file)
	nested := index(artifact("", config, layer("nested", 8)))
	nested.ArtifactType = "application/vnd.example.bundle"
	bundle := m.put(t, "bundle", ocispec.MediaTypeImageIndex, nested)
	own := artifact("application/vnd.caib.catalog.entry.v1+json", ocispec.DescriptorEmptyJSON, layer("entry", 9))
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(sbom, child, chart, disk, bundle, own))

	image := m.mustInspect(t)
	want := []entry.Platform{{Architecture: "arm64", OS: "linux", Digest: child.Digest, SizeBytes: config.Size + 10, LayerCount: 1}}
	if diff := cmp.Diff(want, image.Observed.Platforms); diff != "" || image.Metadata.Architecture != "arm64" || image.Observed.LayerCount != 1 {
		t.Errorf("architecture %q, %d layers; platforms\n%s", image.Metadata.Architecture, image.Observed.LayerCount, diff)
	}
	types := map[string]bool{}
	for _, r := range image.Observed.Referrers {
		types[r.Type] = true
	}
	if diff := cmp.Diff(map[string]bool{"application/spdx+json": true, "application/vnd.cncf.helm.config.v1+json": true, "application/vnd.example.bundle": true}, types); diff != "" {
		t.Error(diff)
	}
	if len(image.Artifacts) != 1 || image.Artifacts[0].Digest != file.Digest {
		t.Errorf("artifacts %+v", image.Artifacts)
	}
}

// An index of disk images has them as platforms, as their annotations say.
func TestIndexOfDisks(t *testing.T) {
	m := newMemory()
	var children []ocispec.Descriptor
	for _, architecture := range []string{"aarch64", "x86_64"} {
		file := layer(architecture, 10)
		file.MediaType = "application/vnd.automotive.disk.raw"
		disk := manifest(ocispec.DescriptorEmptyJSON, file)
		disk.ArtifactType, disk.Annotations = file.MediaType, map[string]string{automotive + "arch": architecture}
		children = append(children, m.put(t, architecture, ocispec.MediaTypeImageManifest, disk))
	}
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
	image := m.mustInspect(t)
	if len(image.Observed.Platforms) != 2 || image.Observed.Platforms[0].Architecture != "arm64" || image.Metadata.Architecture != "" || len(image.Artifacts) != 2 {
		t.Errorf("%+v, architecture %q, %d artifacts", image.Observed.Platforms, image.Metadata.Architecture, len(image.Artifacts))
	}
}

// D24: what is not supported is named, and asked for once.
func TestUnsupportedKinds(t *testing.T) {
	for _, mediaType := range []string{"application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.oci.artifact.manifest.v1+json", "application/x"} {
		m := newMemory()
		m.put(t, tag, mediaType, manifest(ocispec.DescriptorEmptyJSON))
		_, err := m.inspect(t)
		if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), mediaType) || !strings.Contains(err.Error(), "not supported") || len(m.asked) != 1 {
			t.Errorf("%s: %v after %v", mediaType, err, m.asked)
		}
	}
}
