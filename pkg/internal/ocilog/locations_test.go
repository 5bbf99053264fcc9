package ocilog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func mirrorOf(n int) []revision.Location {
	return []revision.Location{{Prefix: "registry.example.com/", At: []string{fmt.Sprintf("m%d.corp/", n)}}}
}

// writeLocations writes artifacts that say different things, a millisecond apart.
func writeLocations(t *testing.T, log *Log, count int) (tags []revision.Tag) {
	t.Helper()
	for n := range count {
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		written, err := log.WriteLocations(t.Context(), view, mirrorOf(n), nil)
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, written.Tag)
	}
	return tags
}

// placesIn returns the first place that each artifact says.
func placesIn(found []Locations) (places []string) {
	for _, one := range found {
		places = append(places, one.All[0].At[0])
	}
	return places
}

// The newest sixteen count, newest first. Reading the catalog costs nothing more, and
// what was read once is not asked for again.
func TestTheNewestLocationsCount(t *testing.T) {
	target, c := newMemory(), &clock{now: epoch}
	tags := writeLocations(t, newLog(target, "writer", Options{Now: c.Now}), countLocations+4)
	reader := newLog(target, "reader", Options{Now: c.Now})
	var view *View
	var err error
	if asked := target.counted(func() { view, err = reader.Read(t.Context()) }); err != nil || len(asked) != 1 || !view.HasLocations() {
		t.Fatalf("reading asks %v, error %v, locations %t; want the tags alone, and that there are locations", asked, err, view.HasLocations())
	}
	var want []string
	for n := countLocations + 3; n >= 4; n-- {
		want = append(want, fmt.Sprintf("m%d.corp/", n))
	}
	for _, requests := range []int{countLocations, 0} {
		var found []Locations
		asked := target.counted(func() { found = view.Locations(t.Context()) })
		if diff := cmp.Diff(want, placesIn(found)); diff != "" {
			t.Error(diff)
		}
		if asked["manifest"] != requests {
			t.Errorf("it asks for %v, want %d manifests", asked, requests)
		}
	}
	for n, tag := range tags[1:] {
		if tag.Compare(tags[n]) <= 0 {
			t.Errorf("%s is not after %s", tag, tags[n])
		}
	}
	if warnings := view.Warnings(); len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
}

// What is forged or cannot be read is told, and those before it count in its place.
func TestForgedLocationsAreTold(t *testing.T) {
	target, c := newMemory(), &clock{now: epoch}
	writer := newLog(target, "writer", Options{Now: c.Now})
	tags := writeLocations(t, writer, countLocations+2)
	for _, tag := range tags[countLocations:] {
		target.tags[tag.String()] = target.tags[tags[0].String()] // a replay of the oldest
	}
	future, err := revision.PackLocations(mirrorOf(99), revision.NextTime(c.Now().Add(48*time.Hour), revision.LocationsName, nil))
	if err != nil {
		t.Fatal(err)
	}
	ahead := future.Tag
	target.tags[ahead.String()], target.manifests[future.Descriptor.Digest] = future.Descriptor.Digest, future.Manifest
	view, err := newLog(target, "reader", Options{Now: c.Now}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := view.Locations(t.Context())
	if len(found) != countLocations || found[0].Tag != tags[countLocations-1] {
		t.Errorf("%v count; want the %d that are whole", placesIn(found), countLocations)
	}
	told := errors.Join(view.Warnings()...).Error()
	for _, tag := range append(tags[countLocations:], ahead) {
		if !strings.Contains(told, tag.String()) {
			t.Errorf("nothing is said of %s: %s", tag, told)
		}
	}
}

// Of very many that are no artifacts, a bounded number is asked for.
func TestAFloodOfLocationsIsBounded(t *testing.T) {
	target, c := newMemory(), &clock{now: epoch}
	writeLocations(t, newLog(target, "writer", Options{Now: c.Now}), 1)
	for n := range 500 {
		at := revision.NextTime(c.Now().Add(time.Duration(n)*time.Millisecond), revision.LocationsName, nil)
		target.tags[fmt.Sprintf("_locations.%s.l0123456789abcdef", strings.Split(revision.LocationsTag(at, "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef").String(), ".")[1])] = "sha256:none"
	}
	view, err := newLog(target, "reader", Options{Now: c.Now}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := target.counted(func() { view.Locations(t.Context()) })
	if warnings := view.Warnings(); asked["manifest"] != tryLocations || len(warnings) != fewTags+1 {
		t.Errorf("%d manifests are asked for, want %d; warnings %v, want %d", asked["manifest"], tryLocations, warnings, fewTags+1)
	}
}

// Locations are signed while no reader sees them; without the signature there are
// none, and a writer whose clock is wrong writes none.
func TestLocationsAreSignedFirst(t *testing.T) {
	target, c := newMemory(), &clock{now: epoch}
	log := newLog(target, "writer", Options{Now: c.Now})
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no signature")
	if _, err := log.WriteLocations(t.Context(), view, mirrorOf(1), func(_ context.Context, d ocispec.Descriptor) error {
		if target.manifests[d.Digest] == nil || len(target.tags) > 0 {
			t.Errorf("signed with the manifest there %t, tags %v; want the manifest alone", target.manifests[d.Digest] != nil, target.tags)
		}
		return refused
	}); !errors.Is(err, refused) || len(target.tags) > 0 {
		t.Errorf("%v, tags %v; want the refusal and no tag", err, target.tags)
	}
}
