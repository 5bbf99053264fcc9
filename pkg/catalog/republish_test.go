package catalog_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What is published again stays as it was, but for what is asked.
func TestPublishAgain(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	build := imagebuild.Build{
		Name: "nightly-77", Phase: "Completed", Position: "f:1", Container: w.push("os/autosd", "77", "1"), Disk: w.pushDisk("os/disk", "77"),
		Metadata: entry.Metadata{Architecture: "aarch64", Distro: "cs9", Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "rev 2"}}, BuildMode: "bootc", Bootc: true},
		Labels:   map[string]string{"verification-interval": "10m"},
		Source:   entry.Source{Type: entry.SourceScheduled, ImageBuild: "nightly-77", Schedule: "nightly"},
	}
	first, err := publishBuild(t, c, build, catalog.PublishOptions{
		Version: "7", Description: "good", Tags: []string{"nightly"}, Metadata: entry.Metadata{DistroVersion: "10"}, NoAttach: true,
		Build: entry.Build{System: "tekton", Ref: "main"},
	})
	if err != nil || len(first.Item.ArtifactRefs) == 0 || len(first.Item.Conditions) == 0 {
		t.Fatalf("%+v, %v", first.Item, err)
	}
	same, err := c.Republish(t.Context(), "nightly", catalog.PublishOptions{NoAttach: true})
	if err != nil || same.Outcome != catalog.Unchanged {
		t.Errorf("with nothing asked: %s, %v\n%s", same.Outcome, err, cmp.Diff(first.Item, same.Item))
	}
	moved, err := c.Republish(t.Context(), "nightly", catalog.PublishOptions{
		Name: "release", Tags: []string{"stable"}, Labels: map[string]string{"team": "a"}, NoAttach: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := first.Item
	want.Name, want.Tags, want.Labels = "release", []string{"stable"}, map[string]string{"verification-interval": "10m", "team": "a"}
	if diff := cmp.Diff(want, moved.Item, cmpopts.IgnoreTypes(entry.Time{}, &entry.Time{}), cmpopts.IgnoreFields(entry.Item{}, "Revision")); diff != "" {
		t.Error(diff)
	}
	if got := names(t, c); len(got) != 1 || got[0] != "release" {
		t.Errorf("live: %v", got)
	}
	if _, err := c.Republish(t.Context(), "nightly", catalog.PublishOptions{}); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("what is not live: %v", err)
	}
	w.push("os/autosd", "77", "another image")
	other, err := c.Republish(t.Context(), "release", catalog.PublishOptions{NoAttach: true})
	if err != nil || other.Outcome != catalog.Unchanged || other.Item.Digest != first.Item.Digest {
		t.Errorf("of a build whose tag moved: %s %+v, %v", other.Outcome, other.Item, err)
	}
}

// What nobody built is published again as what its reference names now, without the
// files of what it named before.
func TestPublishAgainOfAnotherImage(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	first := w.publish(c, w.push("os/autosd", "77", "1"), catalog.PublishOptions{Disk: w.pushDisk("os/disk", "77"), Version: "7", NoAttach: true})
	w.push("os/autosd", "77", "another image")
	other, err := c.Republish(t.Context(), "autosd", catalog.PublishOptions{NoAttach: true})
	if err != nil || other.Item.Digest == first.Item.Digest || len(first.Item.ArtifactRefs) != 1 || len(other.Item.ArtifactRefs) != 0 || other.Item.Version != "7" {
		t.Errorf("%+v, %v", other.Item, err)
	}
}

// A publisher's word that was checked against the image's stays on record, and
// stays published where it was to override.
func TestPublishAgainKeepsMismatches(t *testing.T) {
	for _, override := range []bool{false, true} {
		w := newWorld(t, true, nil)
		c := w.open(catalog.Options{})
		first := w.publish(c, w.push("os/autosd", "1", "1"), catalog.PublishOptions{Metadata: entry.Metadata{Distro: "cs9"}, Override: override, NoAttach: true})
		if again, err := c.Republish(t.Context(), "autosd", catalog.PublishOptions{NoAttach: true}); err != nil || again.Outcome != catalog.Unchanged {
			t.Errorf("override %t: %s, %v\n%s", override, again.Outcome, err, cmp.Diff(first.Item, again.Item))
		}
	}
}

// What the policy refuses is not published again, and so not signed.
func TestPublishAgainNoStrangersWord(t *testing.T) {
	w, ours := newWorld(t, true, nil), team(t)
	anybody, c := w.open(catalog.Options{}), w.open(catalog.Options{Policy: trusting(t, ours)})
	image := w.push("os/autosd", "1", "1")
	w.publish(anybody, image, catalog.PublishOptions{Name: "a", Sign: ours, NoAttach: true})
	if result, err := c.Republish(t.Context(), "a", catalog.PublishOptions{Version: "2", Sign: ours, NoAttach: true}); err != nil || result.Outcome != catalog.Published {
		t.Errorf("what the team published: %s, %v", result.Outcome, err)
	}
	w.publish(anybody, w.push("os/evil", "1", "2"), catalog.PublishOptions{Name: "a", NoAttach: true})
	var refused *trust.Error
	result, err := c.Republish(t.Context(), "a", catalog.PublishOptions{Sign: ours, NoAttach: true})
	if !errors.As(err, &refused) || refused.Verdict != entry.VerdictUnsigned || result.Tag != "" {
		t.Errorf("what a stranger published: %+v, %v, want it refused as unsigned", result, err)
	}
}
