package revision

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

func TestPlacesOfALocation(t *testing.T) {
	for _, tt := range []struct {
		prefix, at, repository string
		want                   []string
	}{
		{"registry.example.com/", "mirror.corp/ex/", "registry.example.com/team/app", []string{"mirror.corp/ex/team/app"}},
		{"registry.example.com/team/", "mirror.corp/", "registry.example.com/team/app", []string{"mirror.corp/app"}},
		{"registry.example.com/team/app/", "mirror.corp/copies/app/", "registry.example.com/team/app", []string{"mirror.corp/copies/app"}},
		{"registry.example.com/team/app/", "mirror.corp/", "registry.example.com/team/app", nil}, // a host is no repository
		{"registry.example.com/te/", "mirror.corp/ex/", "registry.example.com/team/app", nil},
		{"registry.example.com/", "mirror.corp/ex/", "registry.example.com.evil.example/app", nil},
		{"registry.example.com/", "mirror.corp/ex/", "registry.example.com:5000/app", nil},
		{"registry.example.com:5000/", ".", "registry.example.com:5000/app", []string{"."}},
		{"oci:/srv/images/", "mirror.corp/images/", "oci:/srv/images", []string{"mirror.corp/images"}},
	} {
		one := Location{Prefix: tt.prefix, At: []string{tt.at}}
		if err := one.Check(); err != nil {
			t.Errorf("%+v: %v", one, err)
		}
		if diff := cmp.Diff(tt.want, one.Places(tt.repository)); diff != "" {
			t.Errorf("%s by %+v: %s", tt.repository, one, diff)
		}
	}
}

func TestWrongLocationsAreRefused(t *testing.T) {
	many := make([]string, maxLocationsAt+1)
	for n := range many {
		many[n] = "mirror" + strings.Repeat("x", n) + ".corp/"
	}
	for _, tt := range []Location{
		{"registry.example.com", []string{"mirror.corp/"}},        // no slash at the end
		{"Registry.example.com/", []string{"mirror.corp/"}},       // not in normal form
		{"registry.example.com:443/", []string{"mirror.corp/"}},   // the same
		{"registry.example.com//", []string{"mirror.corp/"}},      // an empty component
		{"registry.example.com/../x/", []string{"mirror.corp/"}},  // no component
		{"registry.example.com/Team/", []string{"mirror.corp/"}},  // the same
		{"registry.example.com/a@sha256/", []string{"m.corp/"}},   // a digest
		{"https://registry.example.com/", []string{"m.corp/"}},    // a scheme
		{"/", []string{"mirror.corp/"}},                           // no host
		{"", []string{"mirror.corp/"}},                            // nothing
		{"oci:/", []string{"mirror.corp/"}},                       // no path
		{"oci:/srv/images", []string{"mirror.corp/"}},             // no slash at the end
		{"registry.example.com/", nil},                            // nowhere
		{"registry.example.com/", many},                           // too many places
		{"registry.example.com/", []string{"mirror.corp"}},        // no slash at the end
		{"registry.example.com/", []string{"oci:/etc/"}},          // another layout
		{"registry.example.com/", []string{"mirror.corp/", ".."}}, // none of the words
		{"registry.example.com/" + strings.Repeat("a/", maxPrefix/2), []string{"mirror.corp/"}},
	} {
		if err := tt.Check(); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%+v: %v, want an ErrInvalid", tt, err)
		}
		if _, err := PackLocations([]Location{tt}, sampleTime); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("packing %+v: %v, want an ErrInvalid", tt, err)
		}
	}
}

func TestLocationsAreMerged(t *testing.T) {
	first := []Location{{"b.example/", []string{"m.corp/b/"}}, {"a.example/", []string{"m.corp/a/"}}}
	second := []Location{{"a.example/", []string{"n.corp/", "m.corp/a/"}}}
	want := []Location{{"a.example/", []string{"m.corp/a/", "n.corp/"}}, {"b.example/", []string{"m.corp/b/"}}}
	if diff := cmp.Diff(want, MergeLocations(first, second)); diff != "" {
		t.Error(diff)
	}
	if LocationsSay(first, second) || !LocationsSay(want, second) || !LocationsSay(want, first) {
		t.Errorf("what says what: %t, want false; %t and %t, want true", LocationsSay(first, second), LocationsSay(want, second), LocationsSay(want, first))
	}
}

// An artifact is what its tag was made for, or nothing.
func TestLocationsAreCheckedAgainstTheirTag(t *testing.T) {
	packed, err := PackLocations([]Location{{"registry.example.com/", []string{"mirror.corp/ex/", "."}}}, sampleTime)
	if err != nil {
		t.Fatal(err)
	}
	if tags := ParseLocationsTags([]string{"latest", packed.Tag.String(), packed.Tag.String(), "_locations.000000000.s0123456789abcdef"}); len(tags) != 1 || tags[0] != packed.Tag {
		t.Errorf("tags %v, want %v alone", tags, packed.Tag)
	}
	if _, ok := ParseTag(packed.Tag.String()); ok {
		t.Errorf("%s is taken for a tag of the log", packed.Tag)
	}
	got, err := UnpackLocations(packed.Tag, packed.Manifest)
	if diff := cmp.Diff([]Location{{"registry.example.com/", []string{"mirror.corp/ex/", "."}}}, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	later := packed.Tag
	later.Millis++
	altered := strings.Replace(string(packed.Manifest), MediaTypeLocations+`","config`, MediaTypeStatus+`","config`, 1)
	for what, tt := range map[string]struct {
		tag      Tag
		manifest string
	}{
		"under a later tag":     {later, string(packed.Manifest)},
		"other bytes":           {packed.Tag, altered},
		"another artifact type": {LocationsTag(sampleTime, digest.FromString(altered)), altered},
	} {
		if all, err := UnpackLocations(tt.tag, []byte(tt.manifest)); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("%s: %v, %v; want an ErrMalformed", what, all, err)
		}
	}
	for what, layer := range map[string]string{
		"a host not in normal form": `{"prefix":"A.example/","at":["m.corp/"]}`,
		"a prefix twice":            `{"prefix":"a.example/","at":["m.corp/"]}` + "\n" + `{"prefix":"a.example/","at":["n.corp/"]}`,
		"no JSON":                   `prefix`,
		"too long":                  `{"prefix":"a.example/","at":["m.corp/"],"x":"` + strings.Repeat("x", MaxLocations) + `"}`,
	} {
		tag, manifest := sealedLocations(t, layer)
		if all, err := UnpackLocations(tag, manifest); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("%s: %v, %v; want an ErrMalformed", what, all, err)
		}
	}
	tag, manifest := sealedLocations(t, `{"later":1}`+"\n"+`{"prefix":"a.example/","at":["m.corp/"],"more":true}`)
	if all, err := UnpackLocations(tag, manifest); err != nil || len(all) != 1 {
		t.Errorf("what a later version adds: %v, %v", all, err)
	}
}

// sealedLocations makes an artifact of a layer.
func sealedLocations(t testing.TB, layer string) (Tag, []byte) {
	t.Helper()
	packed, err := packManifest(MediaTypeLocations, MediaTypeLocationLines, []byte(layer), map[string]string{"org.opencontainers.image.created": sampleTime.String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return LocationsTag(sampleTime, packed.Descriptor.Digest), packed.Manifest
}

// Whatever a registry serves, reading it does not panic; what is accepted can be
// written again, and says the same.
func FuzzUnpackLocations(f *testing.F) {
	f.Add(`{"prefix":"a.example/","at":["m.corp/ex/","."]}`, true)
	f.Add(`{"prefix":"oci:/srv/","at":["m.corp/"]}`+"\n"+`{"later":1}`, true)
	f.Add(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"`+MediaTypeLocations+`"}`, false)
	f.Fuzz(func(t *testing.T, text string, wrap bool) {
		tag, manifest := LocationsTag(sampleTime, digest.FromString(text)), []byte(text)
		if wrap {
			tag, manifest = sealedLocations(t, text)
		}
		all, err := UnpackLocations(tag, manifest)
		if err != nil {
			if !errors.Is(err, entry.ErrMalformed) {
				t.Errorf("%v is no ErrMalformed", err)
			}
			return
		}
		for _, one := range all {
			for _, place := range one.Places(strings.TrimSuffix(one.Prefix, "/") + "/app") {
				if place != OwnLayout && !strings.Contains(place, "/") {
					t.Errorf("%+v: the place %q", one, place)
				}
			}
		}
		if len(all) == 0 {
			return
		}
		packed, err := PackLocations(all, sampleTime)
		if err != nil {
			t.Fatalf("%+v: %v", all, err)
		}
		again, err := UnpackLocations(packed.Tag, packed.Manifest)
		if diff := cmp.Diff(MergeLocations(all), again); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
	})
}
