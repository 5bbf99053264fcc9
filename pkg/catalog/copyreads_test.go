package catalog_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// guarded is a registry that may want a login, and counts those that it is shown.
type guarded struct {
	*world
	private atomic.Bool
	shown   atomic.Int64
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{}
	g.world = newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, _, ok := r.BasicAuth()
			if ok {
				g.shown.Add(1)
			}
			if g.private.Load() && !ok {
				rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
				http.Error(rw, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	return g
}

// Whoever copies may have a login that the writer of an entry has not: where an image is
// that an unverified entry names, it is shown to nobody, unless the user names that.
func TestCopyShowsNoLoginUnasked(t *testing.T) {
	t.Parallel()
	sign := team(t)
	w, other := newCopyWorlds(t, true), newGuarded(t)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, other.push("os/x", "1", "1"), catalog.PublishOptions{Name: "x", Sign: sign})
	w.src.publish(c, w.src.push("os/own", "1", "1"), catalog.PublishOptions{Name: "own", Sign: sign})
	client, err := registry.New(registry.Options{Transport: w.src.counter, Attempts: 3, Backoff: time.Millisecond,
		Credentials: func(context.Context, string, string) (registry.Account, error) {
			return registry.Account{Username: "me", Password: "p"}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	mapped := []registry.Mirror{{Prefix: other.host + "/os", Location: w.dst.host + "/mapped"}}
	for _, tt := range []struct {
		name    string
		private bool
		policy  *trust.Policy
		options catalog.CopyOptions
		images  int
		shown   bool // the login
		without bool // one, as the result says
	}{
		{"a public one", false, nil, catalog.CopyOptions{}, 2, false, true},
		{"a private one", true, nil, catalog.CopyOptions{}, 1, false, true},
		{"one that the user names", true, nil, catalog.CopyOptions{ReadFrom: []string{other.host + "/os/x"}}, 2, true, false},
		{"another one that the user names", true, nil, catalog.CopyOptions{ReadFrom: []string{other.host + "/os/y", "oci:/"}}, 1, false, true},
		{"one that the user maps", true, nil, catalog.CopyOptions{Map: mapped}, 2, true, false},
		{"one of a verified entry", true, trusting(t, sign), catalog.CopyOptions{}, 2, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other.private.Store(tt.private)
			other.shown.Store(0)
			from, err := catalog.Open(c.Reference(), catalog.Options{Registry: client, Policy: tt.policy})
			if err != nil {
				t.Fatal(err)
			}
			result, err := from.Copy(t.Context(), newWorld(t, true, nil).open(catalog.Options{}), tt.options)
			if wantErr := tt.images < 2; wantErr != errors.Is(err, entry.ErrUntrusted) || !wantErr && err != nil || len(result.Failed) != 2-tt.images {
				t.Errorf("%v, failed %+v", err, result.Failed)
			}
			want := []string{}
			if tt.without {
				want = []string{other.host}
			}
			if result.Revisions.Copied != 2 || result.Images.Copied != tt.images || !slices.Equal(result.Anonymous, want) || tt.shown != (other.shown.Load() > 0) {
				t.Errorf("%+v, and the login was shown %d times; want %d images, shown %t", result, other.shown.Load(), tt.images, tt.shown)
			}
		})
	}
	if _, err := c.Copy(t.Context(), w.dst.open(catalog.Options{}), catalog.CopyOptions{ReadFrom: []string{"no host"}}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a prefix that is none: %v", err)
	}
}

// Of directories, those are read that were moved with the catalog's own, or that the user
// names, and not what links there lead to.
func TestCopyReadsDirectoriesBesideItsOwn(t *testing.T) {
	t.Parallel()
	w, parent, private := newCopyWorlds(t, true), t.TempDir(), t.TempDir()
	open := func(dir string) *catalog.Catalog {
		c, err := catalog.Open("oci:"+dir, catalog.Options{Registry: w.src.newClient()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open(filepath.Join(parent, "catalog"))
	pushLayout(t, w.src.client, filepath.Join(private, "linked"))
	if err := os.Symlink(filepath.Join(private, "linked"), filepath.Join(parent, "link")); err != nil {
		t.Skip(err)
	}
	for name, dir := range map[string]string{"in": parent + "/catalog", "beside": parent + "/images", "below": parent + "/other/images", "private": private + "/images"} {
		w.src.publish(c, pushLayout(t, w.src.client, dir), catalog.PublishOptions{Name: name})
	}
	w.src.publish(c, "oci:"+filepath.Join(parent, "link")+":1", catalog.PublishOptions{Name: "linked"})
	for _, tt := range []struct {
		readFrom []string
		left     []string // out
	}{
		{nil, []string{"below", "linked", "private"}},
		{[]string{"oci:" + private}, []string{"below"}},
		{[]string{"oci:" + private + "/images", "oci:" + parent + "/oth"}, []string{"below", "linked"}},
	} {
		result, err := open(filepath.Join(parent, "catalog")).Copy(t.Context(), open(t.TempDir()), catalog.CopyOptions{ReadFrom: tt.readFrom})
		var left []string
		for _, failed := range result.Failed {
			left = append(left, failed.Name)
		}
		slices.Sort(left)
		if diff := cmp.Diff(tt.left, left); diff != "" || !errors.Is(err, entry.ErrUntrusted) || result.Revisions.Copied != 5 {
			t.Errorf("read from %q: %v, %+v; left out: %s", tt.readFrom, err, result, diff)
		}
	}
}

// The repository of a catalog is no place for images, but for those that the source has
// in its own; and no name of a directory leads elsewhere.
func TestCopyPutsNoImagesIntoTheCatalog(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, w.src.push("catalog", "1", "1"), catalog.PublishOptions{Name: "stray"})
	w.src.publish(c, w.src.push("team/catalog", "image", "2"), catalog.PublishOptions{Name: "own"})
	w.src.publish(c, pushLayout(t, w.src.client, filepath.Join(t.TempDir(), "catalog")), catalog.PublishOptions{Name: "directory"})
	for at, want := range map[string][]string{"/ex/catalog": {"directory", "stray"}, "/team/catalog": {"directory"}} {
		to, err := catalog.Open(w.dst.host+at, catalog.Options{Registry: w.dst.newClient()})
		if err != nil {
			t.Fatal(err)
		}
		options := catalog.CopyOptions{ReadFrom: []string{"oci:/"}}
		if at == "/team/catalog" {
			options.Map = []registry.Mirror{
				{Prefix: w.src.host + "/catalog", Location: w.dst.host + "/elsewhere"}, {Prefix: w.src.host + "/team", Location: w.dst.host + "/team"},
			}
		}
		result, err := c.Copy(t.Context(), to, options)
		var left []string
		for _, failed := range result.Failed {
			left = append(left, failed.Name)
		}
		slices.Sort(left)
		if diff := cmp.Diff(want, left); diff != "" || !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("to %s: %v, %+v; left out: %s", at, err, result, diff)
		}
	}
}

// Directories have any names, repositories have not.
func TestCopyNamesNoRepositoryByWhatLeadsElsewhere(t *testing.T) {
	for layout, want := range map[string]string{
		"/usb/Images": "r.example.org/a/b/images", "/usb/my_images-2": "r.example.org/a/b/my_images-2",
		"/": "", "..": "", ".": "", "../..": "", "/usb/..x": "", "/usb/x y": "", "/usb/-x": "", "/usb/ü": "",
	} {
		if got, err := catalog.CopyTarget(parse(t, "r.example.org/a/b/catalog"), layout); got != want || errors.Is(err, entry.ErrInvalid) != (want == "") {
			t.Errorf("images of %s go to %q, %v, want %q", layout, got, err, want)
		}
	}
}

// What is attached to an image that is there already is copied where that is asked for.
func TestCopyRefreshes(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	image := w.src.push("os/x", "1", "1")
	w.src.publish(c, image, catalog.PublishOptions{Name: "x"})
	w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{})
	w.src.attach(image, "application/vnd.example.late")
	for n, tt := range []struct {
		refresh bool
		want    int
	}{{false, 0}, {true, 1}, {true, 0}} {
		result := w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{Refresh: tt.refresh})
		if result.Attachments != tt.want || result.Images != (catalog.CopyCount{Present: 1}) {
			t.Errorf("copy %d: %+v, want %d attachments", n, result, tt.want)
		}
	}
}
