//go:build linux

package server_test

import (
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/oci-catalog/caib/pkg/server"
)

func init() { diskFull = func(t testing.TB) func() { return full(t, 100) } }

// full makes every file of the process end after some bytes, as on a full disk: the
// rest of a write is refused. It is for tests that have a process of their own.
func full(t testing.TB, bytes uint64) (end func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	small := limit
	small.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	t.Cleanup(end)
	if err := os.WriteFile(filepath.Join(t.TempDir(), "probe"), make([]byte, bytes+1), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	return end
}

// A full disk under the cache costs requests, and nothing else; what is left of
// it misleads no later start.
func TestFullDisk(t *testing.T) {
	if !ownProcess(t) {
		return
	}
	w := newWorld(t)
	w.fill(200)
	kept := filepath.Join(t.TempDir(), "kept")
	end := full(t, 100)
	w.cache = t.TempDir()
	w.catalog = w.open("team/catalog")
	w.startReady(func(o *server.Options) { o.CacheFile, o.Interval = kept, 0 })
	if got := w.list("?latest=false").Total; got != 200 {
		t.Errorf("%d entries, want 200", got)
	}
	w.publish("new")
	w.until("followed", func() bool { return w.list("?latest=false").Total == 201 })
	w.stop()
	end()
	if !strings.Contains(w.log.String(), "not kept") {
		t.Error("nothing is said about the disk")
	}
	if left, _ := filepath.Glob(kept + "*"); len(left) > 0 {
		t.Errorf("half of a file is left: %v", left)
	}
	w.refusing(away)
	w.catalog = w.open("team/catalog")
	w.start(func(o *server.Options) { o.CacheFile, o.Interval = kept, 0 })
	w.until("a read to fail", func() bool { return strings.Count(w.log.String(), "could not be read") > 0 })
	if a := w.ask("GET", "/v1/catalog/images?latest=false", ""); a.status == http.StatusOK {
		if got := decode[page](t, a).Total; got != 201 {
			t.Errorf("from what is left, %d entries are served, want 201 or none", got)
		}
	}
	w.refusing(nil)
	w.until("current", func() bool { return w.ready().Ready && !w.ready().Stale && w.list("?latest=false").Total == 201 })
}
