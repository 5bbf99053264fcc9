package catalog_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Whom nobody verified says nothing about who is asked: under a policy, the images of
// older revisions that it refuses are not.
func TestCopyAsksForVerifiedImages(t *testing.T) {
	t.Parallel()
	sign := team(t)
	w := newCopyWorlds(t, true)
	var asked atomic.Int64
	stranger := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			next.ServeHTTP(rw, r)
		})
	})
	c := w.src.open(catalog.Options{})
	w.src.publish(c, stranger.push("os/x", "1", "1"), catalog.PublishOptions{Name: "x", Version: "1"})
	w.src.publish(c, w.src.push("os/x", "2", "2"), catalog.PublishOptions{Name: "x", Version: "2", Sign: sign})
	asked.Store(0)
	result := w.copy(w.dst.open(catalog.Options{}), trusting(t, sign), catalog.CopyOptions{})
	if asked.Load() > 0 || result.Revisions.Copied != 2 || result.Images.Copied != 1 {
		t.Errorf("%d requests to a host that an unsigned revision names; %+v", asked.Load(), result)
	}
}

// pushLayout makes an image in a directory and returns its reference.
func pushLayout(t *testing.T, client *registry.Client, dir string) string {
	t.Helper()
	to, err := client.Open(registry.Reference{Layout: dir})
	if err != nil {
		t.Fatal(err)
	}
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: dir, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if _, err := samples.Bootc(t.Context(), to, "1", build); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir + ":1"
}

// A directory of whoever copies is not read because an entry in a registry names it:
// only a policy that verifies the entry says that this is meant.
func TestCopyReadsNoDirectoryUnasked(t *testing.T) {
	t.Parallel()
	sign := team(t)
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, pushLayout(t, w.src.client, filepath.Join(t.TempDir(), "private")), catalog.PublishOptions{Name: "here", Sign: sign})
	w.src.publish(c, w.src.push("os/x", "1", "1"), catalog.PublishOptions{Name: "x", Sign: sign})
	for _, tt := range []struct {
		policy *trust.Policy
		images int
		kind   error
	}{{nil, 1, entry.ErrUntrusted}, {trusting(t, sign), 2, nil}} {
		to := newWorld(t, true, nil)
		result, err := w.src.open(catalog.Options{Policy: tt.policy}).Copy(t.Context(), to.open(catalog.Options{}), catalog.CopyOptions{})
		if !errors.Is(err, tt.kind) || result.Images.Copied != tt.images || result.Revisions.Copied != 2 || len(result.Failed) != 2-tt.images {
			t.Errorf("%v, %+v, want %v and %d images", err, result, tt.kind, tt.images)
		}
	}
}

// One entry whose image has no place at the destination keeps nobody else's back.
func TestCopyWithoutAPlace(t *testing.T) {
	t.Parallel()
	sign := team(t)
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, pushLayout(t, w.src.client, filepath.Join(t.TempDir(), "no name!")), catalog.PublishOptions{Name: "odd", Sign: sign})
	w.src.publish(c, w.src.push("os/x", "1", "1"), catalog.PublishOptions{Name: "x", Sign: sign})
	for _, before := range []bool{false, true} { // whether the entries are there already
		if before {
			w.copy(w.dst.open(catalog.Options{}), nil, catalog.CopyOptions{NoImages: true})
		}
		result, err := w.src.open(catalog.Options{Policy: trusting(t, sign)}).Copy(t.Context(), w.dst.open(catalog.Options{}), catalog.CopyOptions{})
		if !errors.Is(err, entry.ErrInvalid) || result.Images.Copied+result.Images.Present != 1 || len(result.Failed) != 1 || result.Failed[0].Name != "odd" {
			t.Errorf("%v, %+v", err, result)
		}
	}
}

// What is mapped twice is a mistake.
func TestCopyMapsOnce(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	twice := []registry.Mirror{{Prefix: "a.example.com/os", Location: "b.example.com/1"}, {Prefix: "a.example.com/os/", Location: "b.example.com/2"}}
	if _, err := w.src.open(catalog.Options{}).Copy(t.Context(), w.dst.open(catalog.Options{}), catalog.CopyOptions{Map: twice}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("got %v, want an invalid one", err)
	}
}
