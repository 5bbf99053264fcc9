//go:build unix

package registry

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
)

// irregular are things that are not regular files, each put at a path.
func irregular() map[string]func(path string) error {
	return map[string]func(path string) error{
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o666) },
		"directory": func(path string) error { return os.Mkdir(path, 0o777) },
		"dangling":  func(path string) error { return os.Symlink("nowhere", path) },
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"link to FIFO": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+".fifo", 0o666), os.Symlink(path+".fifo", path))
		},
		"socket": func(path string) error {
			// Addresses are short, paths of tests are not.
			dir, err := os.MkdirTemp("", "s")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
			if err != nil {
				return err
			}
			listener.SetUnlinkOnClose(false)
			return errors.Join(listener.Close(), os.Rename(filepath.Join(dir, "s"), path))
		},
	}
}

// atOnce fails the test if what is called has not returned after some seconds.
func atOnce(t *testing.T, what string, call func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("%s has not returned after 10 seconds", what)
		return nil
	}
}

// Whatever stands where a file of a layout should is refused at once.
func TestLayoutRefusesIrregularFiles(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	other, otherManifest := manifestOf(t, "other", nil)
	operations := map[string]func(l *layout) error{
		"tags":      func(l *layout) error { _, err := l.Tags(t.Context()); return err },
		"resolve":   func(l *layout) error { _, err := l.Resolve(t.Context(), "t"); return err },
		"manifest":  func(l *layout) error { _, _, err := l.Manifest(t.Context(), "t"); return err },
		"by digest": func(l *layout) error { _, _, err := l.Manifest(t.Context(), d.Digest.String()); return err },
		"blob":      func(l *layout) error { _, err := l.Blob(t.Context(), d); return err },
		"stat":      func(l *layout) error { return l.StatBlob(t.Context(), d) },
		"referrers": func(l *layout) error { _, err := l.Referrers(t.Context(), d); return err },
		"push":      func(l *layout) error { return l.PushManifest(t.Context(), other, otherManifest, "other") },
		"delete":    func(l *layout) error { return l.Delete(t.Context(), "t") },
		"can push":  func(l *layout) error { return l.CanPush(t.Context()) },
	}
	index := []string{"tags", "resolve", "manifest", "by digest", "referrers", "push", "delete", "can push"}
	for file, refused := range map[string][]string{
		"index.json":                         index,
		"oci-layout":                         index,
		"index.json.lock":                    {"push", "delete", "can push"},
		"blobs/sha256/" + d.Digest.Encoded(): {"manifest", "by digest", "blob", "stat", "referrers"},
	} {
		for name, put := range irregular() {
			root := t.TempDir()
			if err := newLayout(root).PushManifest(t.Context(), d, manifest, "t"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, filepath.FromSlash(file))
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			for _, operation := range refused {
				what := operation + " with a " + name + " as " + file
				err := atOnce(t, what, func() error { return operations[operation](newLayout(root)) })
				if kind(err) != "unreachable" || !strings.Contains(err.Error(), "is not a regular file") {
					t.Errorf("%s: got %v, want that it is not a regular file", what, err)
				}
			}
			if _, err := os.Stat(filepath.Join(root, "nowhere")); !os.IsNotExist(err) {
				t.Errorf("a %s as %s: what it leads to was made: %v", name, file, err)
			}
		}
	}
}

// A process that has read the index once looks again at what stands there.
func TestLayoutRefusesWhatReplacesTheIndex(t *testing.T) {
	root := t.TempDir()
	l := newLayout(root)
	d, manifest := manifestOf(t, "m", nil)
	if err := l.PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "index.json")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	err := atOnce(t, "resolve", func() error { _, err := l.Resolve(t.Context(), "t"); return err })
	if kind(err) != "unreachable" {
		t.Errorf("got %v, want that it is not a regular file", err)
	}
}

// While a process knows an index.json, no other file can get its inode number.
func TestLayoutHoldsTheIndex(t *testing.T) {
	l := newLayout(fillBlobs(t, 2))
	d, manifest := manifestOf(t, "m", nil)
	for what, use := range map[string]func() error{
		"reading": func() error { _, err := l.Tags(t.Context()); return err },
		"writing": func() error { return l.PushManifest(t.Context(), d, manifest, "m") },
	} {
		if err := use(); err != nil {
			t.Fatal(err)
		}
		if l.cache.file == nil {
			t.Errorf("index.json is not open after %s", what)
		} else if info, err := l.cache.file.Stat(); err != nil || !l.cache.matches(info) {
			t.Errorf("after %s, another file than index.json is open: %v", what, err)
		}
	}
}

// Build systems make layouts of symbolic links to files. A blob that cannot be
// read is written anew.
func TestLayoutOfLinks(t *testing.T) {
	real, root := t.TempDir(), t.TempDir()
	d, manifest := manifestOf(t, "m", nil)
	if err := newLayout(real).PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join("blobs", "sha256", d.Digest.Encoded())
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, blob)), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"index.json", "oci-layout", blob} {
		if err := os.Symlink(filepath.Join(real, file), filepath.Join(root, file)); err != nil {
			t.Fatal(err)
		}
	}
	if _, body, err := newLayout(root).Manifest(t.Context(), "t"); err != nil || digest.FromBytes(body) != d.Digest {
		t.Errorf("read %q, %v", body, err)
	}
	if err := errors.Join(os.Remove(filepath.Join(root, blob)), syscall.Mkfifo(filepath.Join(root, blob), 0o666)); err != nil {
		t.Fatal(err)
	}
	err := atOnce(t, "push", func() error { return newLayout(root).PushManifest(t.Context(), d, manifest, "t") })
	if _, body, failed := newLayout(root).Manifest(t.Context(), "t"); err != nil || failed != nil || digest.FromBytes(body) != d.Digest {
		t.Errorf("written again: %v; read %q, %v", err, body, failed)
	}
}

// A lock that another process never releases ends with the context, not only
// with a deadline.
func TestLayoutLockEndsWithItsContext(t *testing.T) {
	root := t.TempDir()
	d, manifest := manifestOf(t, "m", nil)
	lock := flock.New(filepath.Join(root, lockFile))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for name, change := range map[string]func(ctx context.Context, l *layout) error{
		"push":   func(ctx context.Context, l *layout) error { return l.PushManifest(ctx, d, manifest, "t") },
		"blob":   func(ctx context.Context, l *layout) error { return l.PushBlob(ctx, d, manifest) },
		"attach": func(ctx context.Context, l *layout) error { return l.PushReferrer(ctx, d, manifest, d) },
		"delete": func(ctx context.Context, l *layout) error { return l.Delete(ctx, "t") },
	} {
		ctx, stop := context.WithCancel(t.Context())
		began := make(chan struct{})
		go func() { <-began; stop() }()
		err := atOnce(t, name, func() error { close(began); return change(ctx, newLayout(root)) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want that it was cancelled", name, err)
		}
		stop()
	}
}

// A context that has ended ends what reads, too: others call it in loops.
func TestLayoutReadsEndWithTheirContext(t *testing.T) {
	l := newLayout(fillBlobs(t, 3))
	sortedTags(t, l) // so that nothing needs to be parsed
	first, _ := manifestOf(t, "first", nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var tags error
	for range 20 { // whether or not the cache is free
		if _, tags = l.Tags(ctx); tags == nil {
			break
		}
	}
	_, resolve := l.Resolve(ctx, "first")
	_, blob := l.Blob(ctx, first)
	_, referrers := l.Referrers(ctx, first)
	for what, err := range map[string]error{"tags": tags, "resolve": resolve, "blob": blob, "stat": l.StatBlob(ctx, first), "referrers": referrers} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want that it was cancelled", what, err)
		}
	}
	if _, err := parseIndex(ctx, `{"manifests":[{}]}`, defaultBounds()); !errors.Is(err, context.Canceled) {
		t.Errorf("parsing an index: got %v, want that it was cancelled", err)
	}
	// Somebody else is at the cache, and stays there.
	release, err := l.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, stop = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	err = atOnce(t, "tags", func() error { _, err := l.Tags(ctx); return err })
	if kind(err) != "timed out" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for the cache: got %v, want a time-out", err)
	}
}
