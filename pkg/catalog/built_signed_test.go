package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Without a policy anybody may have said what a build made: who signs takes only their
// own word for it, which still pins a build whose tag moved on.
func TestNoSignatureForAStrangersBuild(t *testing.T) {
	w, ours := newWorld(t, true, nil), team(t)
	c := w.open(catalog.Options{})
	build := w.nightly(0)
	evil := w.pushAt(samples.Bootc, "os/autosd", "evil", built0.AddDate(0, 0, -3))
	w.forge(revision.Document{Name: "nightly", Image: w.described("os/autosd", "evil"), Source: build.Source, Labels: build.Labels}, time.Now())
	made := w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	for _, outcome := range []catalog.Outcome{catalog.Published, catalog.Unchanged} {
		result, err := publishBuild(t, c, build, catalog.PublishOptions{Sign: ours})
		if err != nil || result.Outcome != outcome || result.Item.Digest != made || made == evil {
			t.Errorf("%s %s, %v, want %s with %s", result.Outcome, result.Item.Digest, err, outcome, made)
		}
		w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, 1))
	}
}

// That what a publisher typed came before the image's word once says nothing about which
// image a build made.
func TestRepublishOverridesNoDigest(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	result, err := publishBuild(t, c, w.nightly(0), catalog.PublishOptions{Override: true, NoKeep: true, Metadata: entry.Metadata{Distro: "cs9"}})
	if err != nil {
		t.Fatal(err)
	}
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0.AddDate(0, 0, 1))
	w.forget("os/autosd", result.Item.Digest)
	if result, err := c.Republish(t.Context(), "nightly", catalog.PublishOptions{Tags: []string{"qa"}}); !errors.Is(err, entry.ErrDigest) {
		t.Errorf("%s %s, %v, want it refused: what the build made is gone", result.Outcome, result.Item.Digest, err)
	}
}

// The one entry with the reference names a build, however long its own name is.
func TestBuildsWithLongNames(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	build := w.alone()
	build.Name = strings.Repeat("a", 120)
	build.Source.ImageBuild = build.Name
	w.pushAt(samples.Bootc, "os/autosd", "nightly", built0)
	if _, err := publishBuild(t, c, build, catalog.PublishOptions{}); !errors.Is(err, entry.ErrName) {
		t.Errorf("without an entry: %v, want that the name is too long", err)
	}
	w.publish(c, w.host+"/os/autosd:nightly", catalog.PublishOptions{Name: "product"})
	if result, err := publishBuild(t, c, build, catalog.PublishOptions{Version: "1"}); err != nil || result.Item.Name != "product" {
		t.Errorf("%q, %v, want product", result.Item.Name, err)
	}
}
