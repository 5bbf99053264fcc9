package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// What a publication turns out to be in front of, which it did not see before, is told:
// who asked for a new name has not got one.
func TestPublicationsTellWhatTheyHide(t *testing.T) {
	for _, add := range []bool{true, false} {
		between := &interruption{}
		w, now := newWorld(t, true, between.wrap), time.Now()
		image, another := w.push("os/image", "1", "1"), w.push("os/another", "1", "2")
		at := func(ago time.Duration) *catalog.Catalog {
			return w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(-ago) }})
		}
		between.commits = func() {
			w.publish(at(time.Minute), another, catalog.PublishOptions{Name: "mine", Description: "theirs"})
		}
		options := catalog.PublishOptions{Name: "mine"}
		var result catalog.PublishResult
		var err error
		if add {
			result, err = at(0).Add(t.Context(), "mine", image, options)
			checkConflict(t, err, `entry "mine" existed already`, "mine")
		} else {
			result, err = at(0).Publish(t.Context(), image, options)
			said := warningText(result.Warnings)
			if err != nil || !strings.Contains(said, "published by somebody else") || !strings.Contains(said, "loses: description") || len(result.Loses) != 1 {
				t.Errorf("%v, loses %q, warnings %q; want that it hides another, and what is lost", err, result.Loses, said)
			}
		}
		if item, err := at(0).Get(t.Context(), "mine", catalog.GetOptions{}); err != nil || item.Revision != result.Item.Revision {
			t.Errorf("live is %s, %v; want what was published, %s", item.Revision, err, result.Item.Revision)
		}
	}
}

// Who is told that there is no such entry is told as well if the registry lists less
// than there was.
func TestAbsenceTellsOfShortLists(t *testing.T) {
	for _, signed := range []bool{false, true} {
		l := newLaggardWorld(t, signed)
		l.registry.set(&lag{list: ofName("other")})
		for name, ask := range map[string]func(*catalog.Catalog) error{
			"get": func(c *catalog.Catalog) error {
				_, err := c.Get(t.Context(), "other", catalog.GetOptions{})
				return err
			},
			"get --version": func(c *catalog.Catalog) error {
				_, err := c.Get(t.Context(), "other", catalog.GetOptions{Version: "1"})
				return err
			},
			"history": func(c *catalog.Catalog) error {
				_, err := c.History(t.Context(), "other")
				return err
			},
		} {
			l.warned.said = nil
			c := l.at(0, false)
			var err error
			requests := l.counter.during(func() { err = ask(c) })
			if said := strings.Join(l.warned.said, "; "); !isKind(err, entry.ErrNotFound) || !strings.Contains(said, "whose writer saw 2") {
				t.Errorf("%s, signed %t: %v, warned %q; want not found, and that the list is too short", name, signed, err, said)
			}
			if len(requests) > 8 {
				t.Errorf("%s, signed %t: %d requests, want at most 8:\n%s", name, signed, len(requests), strings.Join(requests, "\n"))
			}
		}
	}
}
