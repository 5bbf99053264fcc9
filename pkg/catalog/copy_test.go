package catalog_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
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

// toLayout makes a catalog in a directory, in the place of the destination.
func (w *copyWorlds) toLayout() func(options catalog.Options) *catalog.Catalog {
	dir := filepath.Join(w.t.TempDir(), "copy")
	return func(options catalog.Options) *catalog.Catalog {
		w.t.Helper()
		options.Registry = w.dst.newClient()
		c, err := catalog.Open("oci:"+dir, options)
		if err != nil {
			w.t.Fatal(err)
		}
		return c
	}
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

// A copy shows what its source shows, item by item, and is verified whole, without the
// source: into a registry of another kind and into a directory.
func TestCopyStandsAlone(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Referrers API", "fallback", "layout"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sign := team(t)
			policy := trusting(t, sign)
			w := newCopyWorlds(t, kind != "Referrers API")
			to := w.dst.open
			if kind == "layout" {
				to = w.toLayout()
			}
			c := w.src.open(catalog.Options{Policy: policy})
			for i := range 40 { // more than a snapshot covers
				image := w.src.push(fmt.Sprintf("os/image%d", i%3), fmt.Sprint(i), fmt.Sprint(i))
				w.src.publish(c, image, catalog.PublishOptions{Name: fmt.Sprintf("entry%02d", i%20), Version: fmt.Sprint(i), Sign: sign})
			}
			if _, err := c.Remove(t.Context(), "entry07", catalog.RemoveOptions{Sign: sign}); err != nil {
				t.Fatal(err)
			}
			want := show(t, w.src.open(catalog.Options{Policy: policy}))
			first := w.copy(to(catalog.Options{}), policy, catalog.CopyOptions{})
			if first.Revisions.Copied != 41 || first.Names != 20 || len(first.KeptBack)+len(first.Failed) > 0 || first.Bytes == 0 {
				t.Errorf("copied %+v", first)
			}
			again := w.copy(to(catalog.Options{}), policy, catalog.CopyOptions{})
			if again.Revisions != (catalog.CopyCount{Present: 41}) || again.Bytes != 0 || again.Signatures != 0 {
				t.Errorf("copied again %+v", again)
			}
			w.off.Store(true)
			reader := to(catalog.Options{Policy: policy})
			if diff := cmp.Diff(want, show(t, reader), cmpopts.IgnoreFields(entry.Item{}, "Location")); diff != "" {
				t.Errorf("the copy shows something else: %s", diff)
			}
			for _, item := range want.Items {
				if v, err := reader.Verify(t.Context(), item.Name, catalog.VerifyOptions{}); err != nil || v.Verdict != entry.VerdictVerified {
					t.Errorf("%s is %s: %v", item.Name, v.Verdict, err)
				}
			}
			if _, err := reader.Pull(t.Context(), want.Items[0].Name, catalog.PullOptions{Dest: t.TempDir()}); err != nil {
				t.Errorf("pull from the copy: %v", err)
			}
		})
	}
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

// Images go where the map says, the longest prefix first; the source's image that is
// gone is named, and its entry copied all the same.
func TestCopyMapsImages(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, w.src.push("os/a", "1", "1"), catalog.PublishOptions{Name: "a"})
	w.src.publish(c, w.src.push("os/deep/b", "1", "1"), catalog.PublishOptions{Name: "b"})
	rules := []registry.Mirror{
		{Prefix: w.src.host + "/os", Location: w.dst.host + "/short"}, {Prefix: w.src.host + "/os/deep", Location: w.dst.host + "/long"},
	}
	result := w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{Map: rules})
	var at []string
	for _, location := range result.Locations {
		at = append(at, location.Prefix+" "+strings.Join(location.At, ","))
	}
	want := []string{w.src.host + "/os/ " + w.dst.host + "/short/", w.src.host + "/os/deep/ " + w.dst.host + "/long/"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("locations: %s", diff)
	}
	for _, repository := range []string{"/short/a", "/long/b"} {
		opened, err := w.dst.client.Open(parse(t, w.dst.host+repository))
		if err != nil {
			t.Fatal(err)
		}
		if tags, err := opened.Tags(t.Context()); err != nil || len(tags) == 0 {
			t.Errorf("%s has the tags %v, %v", repository, tags, err)
		}
	}
	w.off.Store(true)
	for _, name := range []string{"a", "b"} {
		v, err := w.dst.open(catalog.Options{}).Verify(t.Context(), name, catalog.VerifyOptions{})
		if answered := slices.ContainsFunc(v.Checks, func(c catalog.Check) bool { return strings.HasPrefix(c.Place, w.dst.host+"/") }); err != nil || !answered {
			t.Errorf("verify %s at the copy: %v, checks %+v, want one with its place", name, err, v.Checks)
		}
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

// What is signed at the source after it was copied is signed at the destination by the
// next copy.
func TestCopyPassesLateSignaturesOn(t *testing.T) {
	t.Parallel()
	sign := team(t)
	policy := trusting(t, sign)
	w := newCopyWorlds(t, false)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, w.src.push("os/late", "1", "1"), catalog.PublishOptions{Name: "late"})
	w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{})
	if _, err := c.Sign(t.Context(), "late", *sign); err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{1, 0} {
		result := w.copy(w.dst.open(catalog.Options{}), policy, catalog.CopyOptions{})
		if result.Signatures != want || result.Revisions.Copied != 0 {
			t.Errorf("copy %d: %+v, want %d signatures and no revision", n+2, result, want)
		}
		item, err := w.dst.open(catalog.Options{Policy: policy}).Get(t.Context(), "late", catalog.GetOptions{})
		if err != nil || item.Verdict != entry.VerdictVerified {
			t.Errorf("after copy %d: %v, %q", n+2, err, item.Verdict)
		}
	}
}
