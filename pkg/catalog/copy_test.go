package catalog_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// copyWorlds are a source that can be switched off, and a destination of another kind.
type copyWorlds struct {
	t   *testing.T
	src *world
	dst *world
	off atomic.Bool
}

func newCopyWorlds(t *testing.T, referrersAPI bool) *copyWorlds {
	t.Helper()
	w := &copyWorlds{t: t}
	w.src = newWorld(t, referrersAPI, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.off.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
		})
	})
	w.dst = newWorld(t, !referrersAPI, nil)
	return w
}

func (w *copyWorlds) copy(to *catalog.Catalog, policy *trust.Policy, options catalog.CopyOptions) catalog.CopyResult {
	w.t.Helper()
	result, err := w.src.open(catalog.Options{Policy: policy}).Copy(w.t.Context(), to, options)
	if err != nil {
		w.t.Fatalf("copy: %v; %+v", err, result)
	}
	return result
}

// shown is what a reader is shown of a catalog: the entries, and the history.
type shown struct {
	Items  []entry.Item
	Events []entry.Event
}

func show(t *testing.T, c *catalog.Catalog) (all shown) {
	t.Helper()
	page, err := c.List(t.Context(), catalog.ListOptions{})
	if err != nil || len(page.Refused) > 0 {
		t.Fatalf("list of %s: %v, refused %v", c.Reference(), err, page.Refused)
	}
	all.Items = page.Items
	if all.Events, err = c.History(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return all
}

// What the policy refuses is kept back whole, the rest is copied.
func TestCopyKeepsBackWhatIsRefused(t *testing.T) {
	t.Parallel()
	sign := team(t)
	policy := trusting(t, sign)
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, w.src.push("os/good", "1", "1"), catalog.PublishOptions{Name: "good", Sign: sign})
	w.src.publish(c, w.src.push("os/bad", "1", "1"), catalog.PublishOptions{Name: "bad", Sign: sign})
	w.src.publish(c, w.src.push("os/bad", "2", "2"), catalog.PublishOptions{Name: "bad"})
	result, err := w.src.open(catalog.Options{Policy: policy}).Copy(t.Context(), w.dst.open(catalog.Options{}), catalog.CopyOptions{})
	if !errors.Is(err, entry.ErrUntrusted) || len(result.KeptBack) != 1 || result.KeptBack[0].Name != "bad" || result.Revisions.Copied != 1 {
		t.Errorf("%v, %+v", err, result)
	}
	if all := show(t, w.dst.open(catalog.Options{})); len(all.Events) != 1 || all.Items[0].Name != "good" {
		t.Errorf("the destination shows %+v", all)
	}
}

// A copy that went without images gets them the next time.
func TestCopyCompletesImages(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	w.src.publish(w.src.open(catalog.Options{}), w.src.push("os/a", "1", "1"), catalog.PublishOptions{Name: "a"})
	first := w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{NoImages: true})
	if first.Revisions.Copied != 1 || first.Bytes != 0 || len(first.Locations) != 0 {
		t.Errorf("without images: %+v", first)
	}
	second := w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{})
	if second.Revisions.Copied != 0 || second.Images.Copied != 1 || second.Bytes == 0 {
		t.Errorf("with images: %+v", second)
	}
}
