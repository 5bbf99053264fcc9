package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func TestHostileManifests(t *testing.T) {
	sound := manifest(ocispec.DescriptorEmptyJSON, layer("a", 10))
	with := func(edit func(*ocispec.Manifest)) ocispec.Manifest {
		m := manifest(ocispec.DescriptorEmptyJSON, layer("a", 10))
		edit(&m)
		return m
	}
	for _, tt := range []struct {
		name      string
		mediaType string
		manifest  any
	}{
		{"another media type", "application/vnd.docker.distribution.manifest.v1+prettyjws", sound},
		{"no media type", "", sound},
		{"not JSON", ocispec.MediaTypeImageManifest, []byte("<html>")},
		{"empty", ocispec.MediaTypeImageManifest, []byte{}},
		{"an array", ocispec.MediaTypeImageManifest, []byte("[]")},
		{"duplicate keys", ocispec.MediaTypeImageManifest, []byte(`{"layers":[],"layers":[]}`)},
		{"no configuration", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Config = ocispec.Descriptor{} })},
		{"a negative size", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 })},
		{"a negative configuration", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Config.Size = -1 })},
		{"sizes that add up to less than nothing", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) {
			m.Layers = []ocispec.Descriptor{layer("a", math.MaxInt64), layer("b", math.MaxInt64), layer("c", 10)}
		})},
		{"a size beyond what JSON can say", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 53 })},
		{"a broken digest", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../x" })},
		{"a word as a digest", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Layers[0].Digest = "latest" })},
		{"too many layers", ocispec.MediaTypeImageManifest, with(func(m *ocispec.Manifest) { m.Layers = layers(maxLayers + 1) })},
		{"an index that is a manifest", ocispec.MediaTypeImageManifest, index(layer("a", 10))},
		{"a manifest that is an index", ocispec.MediaTypeImageIndex, sound},
		{"an index that is not JSON", ocispec.MediaTypeImageIndex, []byte("<html>")},
		{"an empty index", ocispec.MediaTypeImageIndex, index()},
		{"10,000 platforms", ocispec.MediaTypeImageIndex, index(layers(10_000)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			m.put(t, tag, tt.mediaType, tt.manifest)
			image, err := m.inspect(t)
			if !errors.Is(err, entry.ErrMalformed) || image != nil || len(m.asked) != 1 {
				t.Errorf("%+v, %v after asking for %v", image, err, m.asked)
			}
			if err != nil && (!strings.Contains(err.Error(), reference.String()) || len(err.Error()) > 1000) {
				t.Errorf("%.1200v", err)
			}
		})
	}
}

// layers describes many manifests, or layers, that nobody has.
func layers(n int) (all []ocispec.Descriptor) {
	for i := range n {
		d := layer(fmt.Sprint(i), 1)
		d.MediaType = ocispec.MediaTypeImageManifest
		all = append(all, d)
	}
	return all
}

func TestHostileIndexes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		child func(m *memory) ocispec.Descriptor
		want  error
	}{
		{"a platform that is missing", func(*memory) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 5}
		}, entry.ErrNotFound},
		{"a tag for a digest", func(m *memory) ocispec.Descriptor {
			d := m.put(t, "other", ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON))
			d.Digest = "other"
			return d
		}, entry.ErrMalformed},
		{"no digest", func(m *memory) ocispec.Descriptor {
			m.put(t, "", ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON))
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}
		}, entry.ErrMalformed},
		{"an index within the index", func(m *memory) ocispec.Descriptor {
			return m.put(t, "inner", ocispec.MediaTypeImageIndex, index(layer("a", 1)))
		}, entry.ErrMalformed},
		{"a broken platform", func(m *memory) ocispec.Descriptor {
			return m.put(t, "inner", ocispec.MediaTypeImageManifest, []byte("{"))
		}, entry.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(tt.child(m)))
			if image, err := m.inspect(t); !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v; want %v", image, err, tt.want)
			}
		})
	}
}

// Hashes do not allow this, but a registry that lies does.
func TestIndexThatNamesItself(t *testing.T) {
	for _, mediaType := range []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest} {
		m := newMemory()
		self := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString("self"), Size: 100}
		self.Size = m.put(t, tag, ocispec.MediaTypeImageIndex, index(self)).Size
		m.put(t, tag, ocispec.MediaTypeImageIndex, index(self))
		lie := m.manifests[tag]
		lie.descriptor.Digest = self.Digest
		m.manifests[self.Digest.String()] = lie
		image, err := m.inspect(t)
		if !errors.Is(err, entry.ErrMalformed) || len(m.asked) > 2 || (mediaType == ocispec.MediaTypeImageIndex && !strings.Contains(err.Error(), "contains itself")) {
			t.Errorf("as %s: %+v, %v after asking for %v", mediaType, image, err, m.asked)
		}
	}
}

func TestHostileConfigurations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config any
		want   error
	}{
		{"not JSON", []byte("<html>"), entry.ErrMalformed},
		{"empty", []byte{}, entry.ErrMalformed},
		{"an array", []byte("[]"), entry.ErrMalformed},
		{"labels that are none", []byte(`{"config":{"Labels":["a"]}}`), nil},
		{"duplicate keys", []byte(`{"os":"linux","os":"\u001b[2J"}`), nil},
		{"missing", nil, entry.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("missing"), Size: 7}
			if tt.config != nil {
				config = m.config(t, ocispec.MediaTypeImageConfig, tt.config)
			}
			m.put(t, tag, ocispec.MediaTypeImageManifest, manifest(config))
			if image, err := m.inspect(t); !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v; want %v", image, err, tt.want)
			}
		})
	}
}

// Text that could not stand in an entry is left out, and said so; the image
// can be published all the same.
func TestHostileText(t *testing.T) {
	for name, text := range map[string]string{
		"control characters": "\x1b[2Jred", "a line break": "a\nb", "a bidirectional override": "\u202eevil",
		"an invisible character": "a\u200bb", "a long value": strings.Repeat("x", 257),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: text, OS: text, Variant: text}})
			file := layer("file", 10)
			file.Annotations = map[string]string{ocispec.AnnotationTitle: text, automotive + "partition": text}
			disk := manifest(config, file)
			disk.ArtifactType = "application/vnd.automotive.disk." + text
			disk.Annotations = map[string]string{automotive + "distro": text, automotive + "target": text, automotive + "arch": text, automotive + "export-format": text}
			d := m.put(t, tag, ocispec.MediaTypeImageManifest, disk)
			image := m.mustInspect(t)
			if diff := cmp.Diff(entry.Metadata{}, image.Metadata); diff != "" {
				t.Errorf("metadata:\n%s", diff)
			}
			want := []revision.Artifact{{Type: file.MediaType, Reference: "registry.example.com/team/image@" + d.Digest.String(), Digest: file.Digest, SizeBytes: 10, Compression: "gzip"}}
			if diff := cmp.Diff(want, image.Artifacts); diff != "" {
				t.Errorf("artifacts:\n%s", diff)
			}
			all := strings.Join(image.Warnings, "\n")
			for _, what := range []string{"distro annotation", "target annotation", "architecture", "os", "variant", "layer title", "partition annotation", "layer format"} {
				if !strings.Contains(all, "the image's "+what+" ") {
					t.Errorf("no warning of the %s in:\n%s", what, all)
				}
			}
			if strings.Contains(all, text) {
				t.Errorf("a warning repeats the text: %q", all)
			}
		})
	}
}

func TestHostilePlatforms(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "\x1b[2J", OS: "\u202e", Variant: "v8"}})
	child := m.put(t, "child", ocispec.MediaTypeImageManifest, manifest(config, layer("a", 1)))
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(child, child))
	image := m.mustInspect(t)
	// What is named twice is there once.
	platform := entry.Platform{Variant: "v8", Digest: child.Digest, SizeBytes: config.Size + 1, LayerCount: 1}
	if diff := cmp.Diff([]entry.Platform{platform}, image.Observed.Platforms); diff != "" || len(image.Warnings) == 0 {
		t.Errorf("warnings %v\n%s", image.Warnings, diff)
	}
}

// malformed is an image that is refused with a sentence.
type malformed struct {
	name string
	put  func(m *memory)
	want string
}

func testMalformed(t *testing.T, all []malformed) {
	t.Helper()
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tt.put(m)
			image, err := m.inspect(t)
			if image != nil || !errors.Is(err, entry.ErrMalformed) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%+v, %v; want %q", image, err, tt.want)
			}
		})
	}
}

// A manifest or an index that lies about sizes is not published.
func TestSizesThatLie(t *testing.T) {
	image := manifest(ocispec.DescriptorEmptyJSON, layer("a", 10), layer("b", 20))
	testMalformed(t, []malformed{
		{"two sizes of one blob", func(m *memory) {
			m.put(t, tag, ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON, layer("a", 10), layer("a", 1<<52)))
		}, "10 bytes in one place and 4503599627370496 in another"},
		{"two sizes in two platforms", func(m *memory) {
			other := manifest(ocispec.DescriptorEmptyJSON, layer("a", 11))
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(
				m.put(t, "a", ocispec.MediaTypeImageManifest, image), m.put(t, "b", ocispec.MediaTypeImageManifest, other)))
		}, "10 bytes in one place and 11 in another"},
		{"a layer of another size", func(m *memory) {
			m.put(t, tag, ocispec.MediaTypeImageManifest, image)
			m.sizes[layer("b", 0).Digest] = 21
		}, "look for sha256:"},
		{"a platform of another size", func(m *memory) {
			child := m.put(t, "child", ocispec.MediaTypeImageManifest, image)
			child.Size++
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(child))
		}, "where its index says"},
		{"a platform of another media type", func(m *memory) {
			child := m.put(t, "child", ocispec.MediaTypeImageManifest, image)
			child.MediaType = ocispec.MediaTypeImageIndex
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(child))
		}, "where its index says"},
	})
}

// What would take more memory or more requests than an image may is not fetched.
func TestImagesThatAreTooLarge(t *testing.T) {
	testMalformed(t, []malformed{
		{"a platform of a gigabyte", func(m *memory) {
			child := m.put(t, "child", ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON, layer("a", 10)))
			child.Size = 1 << 30
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(child))
		}, "has a size of 1073741824 bytes"},
		{"manifests of a gigabyte together", func(m *memory) {
			children := layers(250)
			for i := range children {
				children[i].Size = revision.MaxManifest
			}
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
		}, "manifests of more than 67108864 bytes together"},
		{"many blobs", func(m *memory) {
			var children []ocispec.Descriptor
			for i := range 3 {
				many := layers(2000)
				for n := range many {
					many[n].Digest = digest.FromString(fmt.Sprint(i, n))
				}
				children = append(children, m.put(t, fmt.Sprint(i), ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON, many...)))
			}
			m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
		}, "more than the 4096 blobs allowed"},
	})
}

// An image of which a layer is missing cannot be pulled, so it is not one to
// publish; layers that are kept elsewhere by design are not looked for.
func TestMissingLayers(t *testing.T) {
	m := newMemory()
	foreign := layer("foreign", 5)
	foreign.MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	m.put(t, tag, ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON, layer("a", 10), layer("a", 10), foreign))
	m.mustInspect(t)
	if diff := cmp.Diff([]digest.Digest{layer("a", 0).Digest}, m.looked); diff != "" {
		t.Errorf("looked for:\n%s", diff)
	}
	m.gone[layer("a", 0).Digest] = true
	if image, err := m.inspect(t); !errors.Is(err, entry.ErrNotFound) || image != nil {
		t.Errorf("%+v, %v", image, err)
	}
}

func TestNestedIndexes(t *testing.T) {
	m := newMemory()
	leaf := func(name string) ocispec.Descriptor {
		config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: name, OS: "linux"}})
		return m.put(t, name, ocispec.MediaTypeImageManifest, manifest(config, layer(name, 1)))
	}
	nest := func(children ...ocispec.Descriptor) ocispec.Descriptor {
		return m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
	}
	a, b, c := leaf("a"), leaf("b"), leaf("c")
	nest(nest(a), b, nest(a, nest(c), b), c)
	var got []string
	for _, platform := range m.mustInspect(t).Observed.Platforms {
		got = append(got, platform.Architecture)
	}
	// Each once, where it stands nearest to the top.
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
	deep := a
	for range maxDepth {
		deep = nest(deep)
	}
	m.mustInspect(t)
	nest(deep)
	if _, err := m.inspect(t); !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "more than 4 deep") {
		t.Errorf("too deep: %v", err)
	}
}

// Indexes that name each other many times are read once: no more requests than
// there are manifests.
func TestIndexesThatMultiply(t *testing.T) {
	m := newMemory()
	config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: "a", OS: "linux"}})
	below := m.put(t, "leaf", ocispec.MediaTypeImageManifest, manifest(config, layer("a", 1)))
	for range maxDepth {
		var many []ocispec.Descriptor
		for range maxPlatforms {
			many = append(many, below)
		}
		below = m.put(t, tag, ocispec.MediaTypeImageIndex, index(many...))
	}
	if image := m.mustInspect(t); len(image.Observed.Platforms) != 1 || len(m.asked) != maxDepth+2 {
		t.Errorf("%d platforms after %d requests", len(image.Observed.Platforms), len(m.asked))
	}
	// Nor more manifests in all than in one index.
	var halves []ocispec.Descriptor
	for i := range 2 {
		var children []ocispec.Descriptor
		for n := range maxPlatforms - 1 {
			children = append(children, m.put(t, "c", ocispec.MediaTypeImageManifest, manifest(ocispec.DescriptorEmptyJSON, layer(fmt.Sprint(i, n), 1))))
		}
		halves = append(halves, m.put(t, "h", ocispec.MediaTypeImageIndex, index(children...)))
	}
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(halves...))
	m.asked = nil
	if _, err := m.inspect(t); !errors.Is(err, entry.ErrMalformed) || len(m.asked) != 3 {
		t.Errorf("%v after %d requests", err, len(m.asked))
	}
}

// The most that is read in parallel is whole and in order.
func TestManyPlatforms(t *testing.T) {
	m := newMemory()
	var children []ocispec.Descriptor
	var want []string
	for i := range maxPlatforms {
		name := fmt.Sprintf("a%03d", i)
		config := m.config(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{Architecture: name, OS: "linux"}})
		children = append(children, m.put(t, name, ocispec.MediaTypeImageManifest, manifest(config, layer(name, 1))))
		want = append(want, name)
	}
	m.put(t, tag, ocispec.MediaTypeImageIndex, index(children...))
	var got []string
	for _, platform := range m.mustInspect(t).Observed.Platforms {
		got = append(got, platform.Architecture)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// asking is a repository that fails in one way.
type asking struct {
	*memory
	err error
}

func (a asking) Manifest(context.Context, string) (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, a.err
}

func (a asking) Blob(context.Context, ocispec.Descriptor) ([]byte, error) { return nil, a.err }

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, kind := range []error{entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout, context.Canceled} {
		failing := asking{newMemory(), fmt.Errorf("fetch: %w", kind)}
		if _, err := Inspect(t.Context(), failing, reference); !errors.Is(err, kind) || !strings.Contains(err.Error(), "inspect registry.example.com/team/image:t") {
			t.Errorf("%v: %v", kind, err)
		}
		// Of a configuration, and of the platform of an index.
		m := newMemory()
		if _, err := samples.Bootc(t.Context(), m, tag, build("amd64", "arm64")); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(t.Context(), half{m, failing}, reference); !errors.Is(err, kind) {
			t.Errorf("below an index: %v: %v", kind, err)
		}
	}
}

// half answers for tags and fails for digests.
type half struct {
	*memory
	failing asking
}

func (h half) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	if reference != tag {
		return h.failing.Manifest(ctx, reference)
	}
	return h.memory.Manifest(ctx, reference)
}
