package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// built0 is when the first of nightlies was completed.
var built0 = time.Date(2026, 2, 1, 3, 0, 0, 0, time.UTC)

// pushAt pushes a sample as a build does that was completed half an hour later.
func (w *world) pushAt(sample func(context.Context, samples.Pusher, string, samples.Build) (ocispec.Descriptor, error), repository, tag string, completed time.Time) digest.Digest {
	w.t.Helper()
	d, err := sample(w.t.Context(), w.repository(repository), tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: completed.String(), Created: completed.Add(-30 * time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Digest
}

// nightly is the build of a schedule that was completed n days after the first.
func (w *world) nightly(n int) imagebuild.Build {
	completed := built0.AddDate(0, 0, n)
	name := fmt.Sprintf("nightly-%x", completed.Unix())
	return imagebuild.Build{
		Name: name, Phase: "Completed", Position: "f:1", Container: w.host + "/os/autosd:nightly",
		Started:   imagebuild.Text{Value: completed.Add(-time.Hour).Format(time.RFC3339)},
		Completed: imagebuild.Text{Value: completed.Format(time.RFC3339)},
		Metadata:  entry.Metadata{BuildMode: "bootc", Bootc: true},
		Labels:    map[string]string{imagebuild.LabelCompleted: completed.Format(time.RFC3339)},
		Source:    entry.Source{Type: entry.SourceScheduled, ImageBuild: name, Schedule: "nightly"},
	}
}

// versionsOf returns the digests of a catalog's versions, as NAME VERSION.
func versionsOf(t *testing.T, c *catalog.Catalog) map[string]digest.Digest {
	t.Helper()
	page, err := c.List(t.Context(), catalog.ListOptions{Query: entry.Query{Versions: true}})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]digest.Digest{}
	for _, item := range page.Items {
		all[item.Name+" "+item.Version] = item.Digest
	}
	if len(all) != len(page.Items) {
		t.Errorf("%d versions of %d names", len(page.Items), len(all))
	}
	return all
}

// Thirty builds of one schedule through one tag are thirty versions of one entry, and
// publishing them again writes nothing.
func TestNightlies(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	want := map[string]digest.Digest{}
	for n := range 30 {
		build := w.nightly(n)
		want["nightly "+build.Name] = w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, n))
		result, err := publishBuild(t, c, build, catalog.PublishOptions{})
		if err != nil || result.Outcome != catalog.Published || len(result.Warnings) > 0 {
			t.Fatalf("build %d: %s, warnings %v, %v", n, result.Outcome, result.Warnings, err)
		}
	}
	if diff := cmp.Diff(want, versionsOf(t, c)); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if got := names(t, c); len(got) != 1 || got[0] != "nightly" {
		t.Errorf("live: %v, want one entry", got)
	}
	again := w.open(catalog.Options{})
	wrote := writes(w.counter.during(func() {
		for n := range 30 {
			result, err := publishBuild(t, again, w.nightly(n), catalog.PublishOptions{})
			if err != nil || result.Outcome != catalog.Unchanged || result.Item.Digest != want["nightly "+w.nightly(n).Name] {
				t.Errorf("build %d again: %s %s, %v", n, result.Outcome, result.Item.Digest, err)
			}
		}
	}))
	if len(wrote) > 0 {
		t.Errorf("publishing them again wrote %v", wrote)
	}
}

// What the status says was built is published whatever the tag names, and in the order
// in which it was built.
func TestNightliesWithDigests(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	want, documents := map[string]digest.Digest{}, []string{}
	for n := range 5 {
		build := w.nightly(n)
		made := w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, n))
		want["nightly "+build.Name] = made
		documents = append(documents, fmt.Sprintf(`{"apiVersion":"automotive.sdv.cloud.redhat.com/v1alpha1","kind":"ImageBuild",
"metadata":{"name":%q,"labels":{"automotive.sdv.cloud.redhat.com/scheduledimagebuild-name":"nightly"}},"spec":{"export":{"container":%q}},
"status":{"phase":"Completed","completionTime":%q,"imageDigest":%q}}`, build.Name, build.Container, build.Completed.Value, made))
	}
	slices.Reverse(documents)
	for _, outcome := range []catalog.Outcome{catalog.Published, catalog.Unchanged} {
		builds, err := catalog.ReadBuilds(strings.NewReader(strings.Join(documents, "\n")), "f")
		if err != nil || len(builds) != 5 {
			t.Fatalf("%d builds, %v", len(builds), err)
		}
		for _, build := range builds {
			if result, err := publishBuild(t, c, build, catalog.PublishOptions{}); err != nil || result.Outcome != outcome {
				t.Errorf("%s: %s, %v, want %s", build.Name, result.Outcome, err, outcome)
			}
		}
		if diff := cmp.Diff(want, versionsOf(t, c)); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		if item, err := c.Get(t.Context(), "nightly", catalog.GetOptions{}); err != nil || item.Version != w.nightly(4).Name {
			t.Errorf("live: %s, %v", item.Version, err)
		}
	}
}

// A build whose tag moved before it was published is refused, or published with both
// times on record.
func TestBuildWhoseTagMoved(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	old, now := w.nightly(0), w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(1, 0, 0))
	const both = "/os/autosd:nightly was created at 2027-02-01T02:30:00Z, and build \"nightly-697ec1b0\" completed at 2026-02-01T03:00:00Z: the tag has moved since"
	wrote := writes(w.counter.during(func() {
		if _, err := publishBuild(t, c, old, catalog.PublishOptions{}); !errors.Is(err, entry.ErrDigest) || !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), both) {
			t.Errorf("got %v, want %s", err, both)
		}
	}))
	if len(wrote) > 0 {
		t.Errorf("it wrote %v", wrote)
	}
	for _, outcome := range []catalog.Outcome{catalog.Published, catalog.Unchanged} {
		result, err := publishBuild(t, c, old, catalog.PublishOptions{Override: true})
		if err != nil || result.Outcome != outcome || result.Item.Digest != now || len(result.Item.Conditions) != 1 || result.Item.Conditions[0].Type != revision.ConditionBuildMismatch {
			t.Errorf("overridden: %s %+v, %v, want %s", result.Outcome, result.Item.Conditions, err, outcome)
		}
	}
	// It is no proof of what the build made, neither here nor for a server.
	if _, err := publishBuild(t, c, old, catalog.PublishOptions{}); !errors.Is(err, entry.ErrDigest) {
		t.Errorf("once more: %v, want it refused", err)
	}
	if result, err := c.Republish(t.Context(), "nightly", catalog.PublishOptions{Tags: []string{"qa"}}); err != nil || len(result.Item.Conditions) != 1 {
		t.Errorf("republished: %+v, %v", result.Item.Conditions, err)
	}
}

// A build that is made again under its name is another one, and may be where nobody
// says when it was completed.
func TestBuildMadeAgain(t *testing.T) {
	for _, dated := range []bool{true, false} {
		w := newWorld(t, true, nil)
		c := w.open(catalog.Options{})
		for n := range 2 {
			made := w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, n))
			build := w.nightly(n)
			build.Name = w.nightly(0).Name
			build.Source = entry.Source{Type: entry.SourceImageBuild, ImageBuild: build.Name}
			if !dated {
				build.Started, build.Completed, build.Labels = imagebuild.Text{}, imagebuild.Text{}, map[string]string{}
			}
			result, err := publishBuild(t, c, build, catalog.PublishOptions{})
			if err != nil || result.Outcome != catalog.Published || result.Item.Digest != made || result.Item.Name != build.Name || result.Item.Version != "" {
				t.Errorf("dated %t, build %d: %s %s %q %s, %v", dated, n, result.Outcome, result.Item.Name, result.Item.Version, result.Item.Digest, err)
			}
		}
	}
}

// What was removed is published again, and flags that say something else are heard.
func TestBuildPublishedAnew(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	publish := func(n int, tag string, want catalog.Outcome) {
		t.Helper()
		result, err := publishBuild(t, c, w.nightly(n), catalog.PublishOptions{Tags: []string{tag}})
		if err != nil || result.Outcome != want || want == catalog.Published && !slices.Equal(result.Item.Tags, []string{tag}) {
			t.Errorf("build %d with %s: %s %v, %v, want %s", n, tag, result.Outcome, result.Item.Tags, err, want)
		}
	}
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	publish(0, "a", catalog.Published)
	publish(0, "b", catalog.Published)
	publish(0, "a", catalog.Published)
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, 1))
	publish(1, "a", catalog.Published)
	publish(0, "a", catalog.Unchanged)
	publish(0, "b", catalog.Published) // and follows a later one
	publish(1, "a", catalog.Published)
	publish(0, "a", catalog.Published)
	if _, err := c.Remove(t.Context(), "nightly", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	publish(1, "a", catalog.Published)
}

// What nobody can compare is published with a note.
func TestBuildWithoutProof(t *testing.T) {
	for _, tt := range []struct {
		name           string
		created, begun time.Time
		completed      string
		want           string // in the note; "" for none
	}{
		{"created while it was built", built0.Add(-time.Minute), built0.Add(-time.Hour), built0.Format(time.RFC3339), ""},
		{"created within a minute", built0.Add(time.Minute), time.Time{}, built0.Format(time.RFC3339), ""},
		{"nothing", time.Time{}, built0.Add(-time.Hour), built0.Format(time.RFC3339), "the image does not say when it was created"},
		{"1970", time.Unix(0, 0), time.Time{}, built0.Format(time.RFC3339), "at 1970-01-01T00:00:00Z, as reproducible ones do"},
		{"the day of a commit", built0.AddDate(0, 0, -9), built0.Add(-time.Hour), built0.Format(time.RFC3339), "at 2026-01-23T03:00:00Z, before the build began at 2026-02-01T02:00:00Z"},
		{"no completion", built0, time.Time{}, "", "the build says neither its digest nor when it was completed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, true, nil)
			w.pushAt(samples.Bootc, "os/autosd", "nightly", tt.created.Add(30*time.Minute))
			build := w.nightly(0)
			build.Started, build.Completed, build.Labels = imagebuild.Text{}, imagebuild.Text{Value: tt.completed}, map[string]string{}
			if !tt.begun.IsZero() {
				build.Started.Value = tt.begun.Format(time.RFC3339)
			}
			result, err := publishBuild(t, w.open(catalog.Options{}), build, catalog.PublishOptions{})
			var notes []string
			for _, warning := range result.Warnings {
				notes = append(notes, string(warning.Kind)+": "+warning.Err.Error())
			}
			if err != nil || len(result.Item.Conditions) > 0 || (len(notes) > 0) != (tt.want != "") || len(notes) > 0 && !strings.Contains(notes[0], tt.want) {
				t.Errorf("notes %q, conditions %v, %v, want %q", notes, result.Item.Conditions, err, tt.want)
			}
		})
	}
}

// Builds that say their digests and not when they were completed, or that to the
// microsecond, change nothing either when they are published again.
func TestBuildsPublishedAgainByDigest(t *testing.T) {
	for _, layout := range []string{"", "2006-01-02T15:04:05.999999Z07:00"} {
		w := newWorld(t, true, nil)
		c := w.open(catalog.Options{})
		var builds []imagebuild.Build
		for n := range 2 {
			build := w.nightly(n)
			build.Digest.Value = w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, n)).String()
			build.Started, build.Completed, build.Labels = imagebuild.Text{}, imagebuild.Text{}, map[string]string{}
			if layout != "" {
				build.Completed.Value = built0.AddDate(0, 0, n).Add(123456 * time.Microsecond).Format(layout)
				build.Labels[imagebuild.LabelCompleted] = build.Completed.Value
			}
			builds = append(builds, build)
		}
		for _, want := range []catalog.Outcome{catalog.Published, catalog.Unchanged} {
			for _, build := range builds {
				if result, err := publishBuild(t, c, build, catalog.PublishOptions{}); err != nil || result.Outcome != want {
					t.Errorf("%q: %s: %s, %v, want %s", layout, build.Name, result.Outcome, err, want)
				}
			}
		}
	}
}
