package server_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/server"
)

// keeping is a server that kept its state in a file and ended, over a registry
// that is away since. Nothing else is cached.
func keeping(t *testing.T) (w *world, path string, list answer) {
	t.Helper()
	w = newWorld(t)
	path = filepath.Join(t.TempDir(), "served", "file")
	w.publish("a", "b", "c")
	w.startReady(func(o *server.Options) { o.CacheFile = path })
	list = w.ask("GET", "/v1/catalog/images", "")
	w.stop()
	w.refusing(away)
	w.cache = t.TempDir()
	w.catalog = w.open("team/catalog")
	return w, path, list
}

// What was served is served again at once, under the same ETag, whatever the
// registry and the cache have.
func TestServesWhatItKept(t *testing.T) {
	w, path, before := keeping(t)
	w.start(func(o *server.Options) { o.CacheFile = path })
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "").status == http.StatusOK })
	if r := w.ready(); !r.Stale || r.Entries != 3 || r.AgeSeconds == nil || *r.AgeSeconds < 0 {
		t.Errorf("readyz says %+v, want three entries that are stale, and how old they are", r)
	}
	if text := string(w.ask("GET", "/metrics", "").body); !strings.Contains(text, "\ncaib_index_age_seconds ") {
		t.Error("the metrics do not say how old the index is")
	}
	after := w.ask("GET", "/v1/catalog/images", "")
	if after.header.Get("ETag") != before.header.Get("ETag") || !bytes.Equal(after.body, before.body) || after.header.Get("X-Caib-Stale") != "true" {
		t.Errorf("%v\n%s\nbefore\n%s", after.header, after.body, before.body)
	}
	if a := w.ask("GET", "/v1/catalog/images/b", ""); a.status != http.StatusOK {
		t.Errorf("b: %d", a.status)
	}
	if a := w.ask("GET", "/v1/catalog/images/b/history", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("history that was not read: %d", a.status)
	}
	listener := w.listen("")
	w.refusing(nil)
	w.publish("d")
	w.until("current", func() bool { return !w.ready().Stale && w.list("").Total == 4 })
	if got := listener.next(t); !strings.Contains(got, `"name":"d"`) {
		t.Errorf("told: %q, want what is new since", got)
	}
}

// A file that is cut short, changed, or of another server is not believed.
func TestKeptFileOfAnother(t *testing.T) {
	for name, change := range map[string]func(text []byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"cut at a line":    func(text []byte) []byte { return text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1] },
		"cut in a line":    func(text []byte) []byte { return text[:len(text)/2] },
		"one byte changed": func(text []byte) []byte { return bytes.Replace(text, []byte(`"name":"b"`), []byte(`"name":"x"`), 1) },
		"an entry less": func(text []byte) []byte {
			lines := bytes.SplitAfter(text, []byte{'\n'})
			return bytes.Join(append(lines[:1:1], lines[2:]...), nil)
		},
		"no text": func([]byte) []byte { return bytes.Repeat([]byte{0xff, '\n'}, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			w, path, _ := keeping(t)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(bytes.Clone(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			w.notServing(func(o *server.Options) { o.CacheFile = path })
		})
	}
	t.Run("another version", func(t *testing.T) {
		w, path, _ := keeping(t)
		w.notServing(func(o *server.Options) { o.CacheFile, o.Version = path, "another" })
	})
	t.Run("another catalog", func(t *testing.T) {
		w, path, _ := keeping(t)
		w.catalog = w.open("team/other")
		w.notServing(func(o *server.Options) { o.CacheFile = path })
	})
}

// What was kept is checked against the log before it is served as current: whoever
// can write the file cannot make up entries.
func TestKeptIsNotBelieved(t *testing.T) {
	w, path, before := keeping(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.ReplaceAll(text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1], []byte("/os/b:1"), []byte("/os/evil"))
	if err := os.WriteFile(path, fmt.Appendf(body, "%x\n", sha256.Sum256(body)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(func(o *server.Options) { o.CacheFile, o.Interval = path, 0 })
	w.until("served", func() bool {
		return strings.Contains(string(w.ask("GET", "/v1/catalog/images/b", "").body), "/os/evil")
	})
	w.refusing(nil)
	w.until("current", func() bool { return !w.ready().Stale })
	if a := w.ask("GET", "/v1/catalog/images/b", ""); strings.Contains(string(a.body), "evil") {
		t.Errorf("current and made up: %s\nbefore: %s", a.body, before.body)
	}
}

// notServing starts a server and checks that it has nothing to serve.
func (w *world) notServing(change func(*server.Options)) {
	w.t.Helper()
	w.start(change)
	w.until("a read to fail", func() bool { return strings.Contains(w.log.String(), "could not be read") })
	if a := w.ask("GET", "/v1/catalog/images", ""); a.status != http.StatusServiceUnavailable {
		w.t.Errorf("%d %s", a.status, a.body)
	}
}

// A file that cannot be written costs nothing but the quick start.
func TestKeepsNothingWhereItCannotWrite(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.startReady(func(o *server.Options) { o.CacheFile = filepath.Join(file, "below") })
	w.stop()
	if !strings.Contains(w.log.String(), "not kept") {
		t.Errorf("the log does not say so: %s", w.log)
	}
}
