package catalog_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// One Catalog that was restored from a cache serves many readers at once.
func TestParallelReads(t *testing.T) {
	for _, where := range []string{"registry", "layout"} {
		t.Run(where, func(t *testing.T) {
			w, sign := newWorld(t, true, nil), team(t)
			options := catalog.Options{
				Registry: w.client, Recheck: time.Millisecond, Policy: trusting(t, sign),
				CacheDir: t.TempDir(), StateDir: t.TempDir(),
			}
			reference := w.host + "/team/catalog"
			if where == "layout" {
				reference = "oci:" + filepath.Join(t.TempDir(), "catalog")
			}
			open := func() *catalog.Catalog {
				c, err := catalog.Open(reference, options)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			const entries = 40 // a snapshot, and some that it does not cover
			w.fill(open(), entries, sign)
			if _, err := open().List(t.Context(), catalog.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			c := open()
			var group sync.WaitGroup
			for i := range 200 {
				group.Go(func() {
					if err := readOne(t, c, i, entries); err != nil {
						t.Errorf("reading %d: %v", i, err)
					}
				})
			}
			testwait.Return(t, "the readers", group.Wait)
		})
	}
}

// readOne reads in one of four ways.
func readOne(t *testing.T, c *catalog.Catalog, i, entries int) error {
	name := fmt.Sprintf("e%03d", i%entries)
	switch i % 4 {
	case 0:
		page, err := c.List(t.Context(), catalog.ListOptions{Query: entry.Query{}})
		if err == nil && len(page.Items) != entries {
			err = fmt.Errorf("%d entries, want %d", len(page.Items), entries)
		}
		return err
	case 1:
		_, err := c.Get(t.Context(), name, catalog.GetOptions{})
		return err
	case 2:
		v, err := c.Verify(t.Context(), name, catalog.VerifyOptions{})
		if err == nil && v.Verdict != entry.VerdictVerified {
			err = fmt.Errorf("the verdict is %s", v.Verdict)
		}
		return err
	}
	_, err := c.History(t.Context(), name)
	return err
}
