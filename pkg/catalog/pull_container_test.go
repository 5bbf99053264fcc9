package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// tree is what is in a directory and all below it, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// containerWorld is a world with the entry boots, a container, and a registry that is
// broken as a test wants it.
type containerWorld struct {
	*world
	catalog *catalog.Catalog
	dir     string
	broken  func(w http.ResponseWriter, nth int) bool // answers the nth request for a blob, from 1
	asked   int
}

func newContainerWorld(t *testing.T) *containerWorld {
	c := &containerWorld{dir: t.TempDir()}
	c.world = newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.broken != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/os/boots/blobs/") {
				if c.asked++; c.broken(w, c.asked) {
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	c.catalog = c.world.open(catalog.Options{})
	c.publish(c.catalog, c.push("os/boots", "1", "1"), catalog.PublishOptions{Name: "boots"})
	return c
}

func (c *containerWorld) pull(broken func(http.ResponseWriter, int) bool) (catalog.PullResult, error) {
	c.broken, c.asked = broken, 0
	return c.catalog.Pull(c.t.Context(), "boots", catalog.PullOptions{Dest: filepath.Join(c.dir, "boots")})
}

// A container is whole or has no name either, and is gone on with blob by blob: a
// layer, and then the config.
func TestPullContainer(t *testing.T) {
	t.Parallel()
	c := newContainerWorld(t)
	var whole bytes.Buffer
	if _, err := c.catalog.Pull(t.Context(), "boots", catalog.PullOptions{Out: &whole}); err != nil {
		t.Fatal(err)
	}
	result, err := c.pull(func(w http.ResponseWriter, nth int) bool {
		if nth > 1 {
			w.WriteHeader(http.StatusNotFound)
		}
		return nth > 1
	})
	if !errors.Is(err, entry.ErrNotFound) || len(result.Files) != 1 || result.Files[0].Part != filepath.Join(c.dir, "boots.part") {
		t.Fatalf("a blob is gone: got %+v, %v", result.Files, err)
	}
	for path := range tree(t, c.dir) {
		if !strings.HasPrefix(path, "boots.part/blobs/sha256/") {
			t.Errorf("a blob is gone: got the file %s, want blobs of the part alone", path)
		}
	}
	_, err = c.pull(func(w http.ResponseWriter, _ int) bool {
		_, _ = w.Write([]byte("something else"))
		return true
	})
	if _, missing := os.Lstat(filepath.Join(c.dir, "boots")); !errors.Is(err, entry.ErrMalformed) || missing == nil {
		t.Errorf("another blob: got %v, want a malformed one, and no container", err)
	}
	if result, err = c.pull(nil); err != nil || result.Files[0].Resumed == 0 {
		t.Fatalf("got %+v, %v, want that it went on", result.Files, err)
	}
	found := tree(t, c.dir)
	if found["boots/oci-layout"] == "" || found["boots/index.json"] == "" {
		t.Error("it is no image layout")
	}
	for path, text := range found {
		if !strings.HasPrefix(path, "boots/") || !bytes.Contains(whole.Bytes(), []byte(text)) {
			t.Errorf("%s is not as the tar has it", path)
		}
	}
}

func TestPullContainerCanceled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	w.publish(c, w.push("os/boots", "1", "1"), catalog.PublishOptions{Name: "boots"})
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	_, err := c.Pull(ctx, "boots", catalog.PullOptions{Dest: filepath.Join(dir, "boots.tar"), Progress: func(catalog.PullProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was canceled", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "boots.tar")); err == nil {
		t.Error("the tar has its name")
	}
}
