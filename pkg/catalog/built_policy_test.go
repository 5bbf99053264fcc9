package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// alone is a build of no schedule.
func (w *world) alone() imagebuild.Build {
	build := w.nightly(0)
	build.Name = "alone-1"
	build.Source = entry.Source{Type: entry.SourceImageBuild, ImageBuild: build.Name}
	return build
}

// A build without a name belongs to the one live entry with its reference.
func TestNameByReference(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	name := func(want, version string) {
		t.Helper()
		result, err := publishBuild(t, c, w.alone(), catalog.PublishOptions{DryRun: true})
		if err != nil || result.Item.Name != want || result.Item.Version != version {
			t.Errorf("%q %q, %v, want %q %q", result.Item.Name, result.Item.Version, err, want, version)
		}
	}
	image := w.host + "/os/autosd:nightly"
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, -2))
	w.publish(c, image, catalog.PublishOptions{Name: "product"})
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	name("product", "alone-1")
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, -1))
	w.publish(c, image, catalog.PublishOptions{Name: "product-2"})
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	name("alone-1", "")
	if _, err := c.Remove(t.Context(), "product", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	name("product-2", "alone-1")
}

// Under a policy, only what it verifies names a build, and says what it made.
func TestNameByReferenceUnderAPolicy(t *testing.T) {
	w, ours := newWorld(t, true, nil), team(t)
	c := w.open(catalog.Options{Policy: trusting(t, ours)})
	image := w.host + "/os/autosd:nightly"
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, -2))
	w.publish(c, image, catalog.PublishOptions{Name: "product", Sign: ours})
	stranger := revision.Document{Name: "theirs", Image: w.described("os/autosd", "nightly")}
	w.forge(stranger, time.Now())
	// A stranger's word hides the team's, and says what the build made.
	evil := w.pushAt(samples.Bootc, "os/autosd", "evil", built0.AddDate(0, 0, -3))
	stranger.Name, stranger.Image = "product", w.described("os/autosd", "evil")
	stranger.Source.ImageBuild, stranger.Labels = "alone-1", w.alone().Labels
	w.forge(stranger, time.Now().Add(time.Second))
	made := w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	result, err := publishBuild(t, c, w.alone(), catalog.PublishOptions{Sign: ours})
	if err != nil || result.Item.Name != "product" || result.Item.Version != "alone-1" || result.Item.Digest != made || made == evil {
		t.Errorf("%q %q %s, %v, want a version of product with %s", result.Item.Name, result.Item.Version, result.Item.Digest, err, made)
	}
}

// The disk image beside a container is pinned as the container is.
func TestDiskOfABuild(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	build := w.nightly(0)
	build.Disk = w.host + "/os/disk:nightly"
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	w.pushAt(samples.Disk, "os/disk", "nightly", built0)
	first, err := publishBuild(t, c, build, catalog.PublishOptions{})
	if err != nil || len(first.Item.ArtifactRefs) != 1 {
		t.Fatalf("%+v, %v", first.Item.ArtifactRefs, err)
	}
	later := built0.AddDate(0, 0, 1)
	now := w.pushAt(samples.Disk, "os/disk", "nightly", later)
	if again, err := publishBuild(t, c, build, catalog.PublishOptions{}); err != nil || again.Outcome != catalog.Unchanged {
		t.Errorf("again, with another disk image under the tag: %s, %v", again.Outcome, err)
	}
	other := w.nightly(0)
	other.Disk, other.Name, other.Source = build.Disk, "other", entry.Source{Type: entry.SourceImageBuild, ImageBuild: "other"}
	_, err = publishBuild(t, c, other, catalog.PublishOptions{Name: "other", Move: true})
	if !errors.Is(err, entry.ErrDigest) || !strings.HasPrefix(err.Error(), "disk image: conflict: ") {
		t.Errorf("got %v, want its disk image refused", err)
	}
	result, err := publishBuild(t, c, other, catalog.PublishOptions{Name: "other", Move: true, Override: true})
	if err != nil || len(result.Item.Conditions) != 1 || !strings.HasPrefix(result.Item.Conditions[0].Message, "the disk image was created at ") || !strings.HasSuffix(result.Item.ArtifactRefs[0].URL, now.String()) {
		t.Errorf("overridden: %+v, %v", result.Item, err)
	}
	other.DiskDigest = imagebuild.Text{Value: strings.Split(first.Item.ArtifactRefs[0].URL, "@")[1]}
	result, err = publishBuild(t, c, other, catalog.PublishOptions{Name: "other"})
	if err != nil || len(result.Item.Conditions) != 0 || result.Item.ArtifactRefs[0].URL != first.Item.ArtifactRefs[0].URL {
		t.Errorf("with its digest: %+v, %v", result.Item, err)
	}
}
