package e2e

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testwait"
)

// cutter is a proxy that ends answers with a blob after some bytes.
type cutter struct {
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	served int64        // bytes of blobs
	after  func() int64 // bytes of the next answer; nil and negative are all
	then   func()       // called at the end that is too early; nil is nothing
}

func newCutter(t testing.TB, upstream string) (*cutter, string) {
	t.Helper()
	c := &cutter{proxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})}
	server := httptest.NewServer(c)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return c, strings.TrimPrefix(server.URL, "http://")
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/os/disk/blobs/") {
		c.mu.Lock()
		left := int64(-1)
		if c.after != nil {
			left = c.after()
		}
		c.mu.Unlock()
		w = &cutWriter{w, c, left}
	}
	c.proxy.ServeHTTP(w, r)
}

type cutWriter struct {
	http.ResponseWriter
	cutter *cutter
	left   int64 // negative is no end
}

func (w *cutWriter) Write(p []byte) (int, error) {
	last := w.left >= 0 && int64(len(p)) >= w.left
	if last {
		p = p[:w.left]
	}
	n, err := w.ResponseWriter.Write(p)
	w.cutter.mu.Lock()
	w.cutter.served += int64(n)
	then := w.cutter.then
	w.cutter.mu.Unlock()
	w.left -= int64(n)
	if last {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		if then != nil {
			then()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (c *cutter) set(after func() int64, then func()) (served int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	served, c.served = c.served, 0
	c.after, c.then = after, then
	return served
}

// cutWorld is a world with an entry disk, of a file of noise, behind a cutter.
func cutWorld(t *testing.T, size int) (*world, *cutter, []byte) {
	t.Helper()
	server := registries.Distribution3(t, true)
	c, host := newCutter(t, server.Host)
	w := newWorld(t, at(host, server.Name, server.Referrers))
	dir := t.TempDir()
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{7})
	_, _ = source.Read(content) // never fails
	if err := os.WriteFile(filepath.Join(dir, "disk.raw"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	packInto(t, filepath.Join(dir, "disk.raw.gz"), filepath.Join(dir, "disk.raw"), "gzip", "gzip")
	image := w.on.image("disk") + ":1"
	must(t, dir, tools.Oras(t), "push", "--plain-http", "--artifact-type", diskType+"raw", image, "disk.raw.gz:"+diskType+"raw+gzip")
	w.ok("catalog", "publish", image, "--name", "disk")
	return w, c, content
}

// twice bounds what a broken transfer fetches a second time: 8 MiB, and one request.
const twice = 8<<20 + 256<<10

// A pull is killed at random places, 50 times or, before a change lands, 5. Each run
// goes on from what the one before it stored, and the last one ends right.
func TestKilledWhilePulling(t *testing.T) {
	t.Parallel()
	kills, size := 5, 32<<20
	if *full {
		kills, size = 50, 64<<20
	}
	w, c, content := cutWorld(t, size)
	dir := t.TempDir()
	part, stored := filepath.Join(dir, "disk.raw.part"), int64(0)
	for kill := range kills {
		command := exec.Command(w.caib, "catalog", "pull", "disk", dir, "-q")
		command.Env = tools.Env(t, w.env)
		started := make(chan struct{})
		c.set(func() int64 { return rand.Int64N(int64(size / kills)) }, func() { <-started; _ = command.Process.Kill() })
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		close(started)
		var ended error
		testwait.Return(t, "the pull to be killed", func() { ended = command.Wait() })
		if ended == nil {
			t.Fatalf("run %d was not killed", kill)
		}
		served := c.set(nil, nil)
		if _, err := os.Stat(filepath.Join(dir, "disk.raw")); err == nil {
			t.Fatalf("run %d: the file has its name", kill)
		}
		now := int64(0)
		if info, err := os.Stat(part); err == nil {
			now = info.Size()
		}
		if lost := served - (now - stored); now < stored || lost > twice {
			t.Errorf("run %d: %d bytes were served, and %d are stored after %d", kill, served, now, stored)
		}
		stored = now
	}
	w.ok("catalog", "pull", "disk", dir)
	served := c.set(nil, nil)
	t.Logf("%d of %d bytes were left after %d kills", served, len(content), kills)
	if got, err := os.ReadFile(filepath.Join(dir, "disk.raw")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes that are not the content, %v", len(got), err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%d files are left, %v", len(all), err)
	}
	if served > int64(len(content))+1<<20-stored {
		t.Errorf("the last run was served %d bytes, and %d were stored", served, stored)
	}
}

// The same for connections that end: one run, which ends right.
func TestCutWhilePulling(t *testing.T) {
	t.Parallel()
	cuts, size := 5, 32<<20
	if *full {
		cuts, size = 50, 64<<20
	}
	w, c, content := cutWorld(t, size)
	dir, done := t.TempDir(), 0
	c.set(func() int64 {
		if done++; done > cuts {
			return -1
		}
		return rand.Int64N(int64(size / cuts))
	}, nil)
	w.ok("catalog", "pull", "disk", dir)
	served := c.set(nil, nil)
	if got, err := os.ReadFile(filepath.Join(dir, "disk.raw")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes that are not the content, %v", len(got), err)
	}
	if done <= cuts || served > int64(len(content)+1<<20+cuts*twice) {
		t.Errorf("%d bytes were served in %d answers", served, done)
	}
}
