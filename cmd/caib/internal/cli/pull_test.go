package cli

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// halting is a registry with the entry disk, of whose file the first half arrives, and
// then nothing any more, if halted is called first.
type halting struct {
	env map[string]string

	mu   sync.Mutex
	halt func() // called once the half was sent; nil is that all is sent
}

func newHalting(t *testing.T) *halting {
	t.Helper()
	h := &halting{env: homeEnv(t)}
	registry := newRegistry(true)
	f := &fake{}
	f.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		halt := h.halt
		h.mu.Unlock()
		if halt != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/team/disk/blobs/") {
			w = &halfWriter{w, r, halt}
		}
		registry.ServeHTTP(w, r)
	}), false)
	t.Cleanup(f.server.Close)
	h.env["CAIB_CATALOG"] = f.host + "/team/catalog"
	image := f.host + "/team/disk:1"
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1", Created: testTime}
	if _, err := pushSample("disk", image, build); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, h.env, "catalog", "publish", image); code != 0 {
		t.Fatalf("publish: %d\n%s", code, stderr)
	}
	return h
}

type halfWriter struct {
	http.ResponseWriter
	request *http.Request
	halt    func()
}

func (w *halfWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.halt()
	<-w.request.Context().Done()
	panic(http.ErrAbortHandler)
}

// pull is a run that may be interrupted.
func (h *halting) pull(ctx context.Context, t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	testwait.Return(t, "caib to end", func() {
		code = Main(ctx, append([]string{"catalog", "pull"}, args...), Streams{
			In: strings.NewReader(""), Out: &out, Err: &errs, Author: "alice@build", recheck: time.Millisecond,
			Getenv: func(name string) string { return h.env[name] },
			Now:    func() time.Time { return testTime },
		})
	})
	return code, errs.String()
}

// An interruption keeps what can be gone on with, and says so.
func TestPullInterrupted(t *testing.T) {
	h, dir := newHalting(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	part := filepath.Join(dir, "disk.qcow2.part")
	sent := make(chan struct{})
	h.mu.Lock()
	h.halt = func() { close(sent) }
	h.mu.Unlock()
	go func() {
		<-sent
		defer cancel()
		for ended := time.Now().Add(testwait.Limit); time.Now().Before(ended); runtime.Gosched() { // the half is on its way
			if info, err := os.Stat(part); err == nil && info.Size() > 0 {
				return
			}
		}
	}()
	code, stderr := h.pull(ctx, t, "disk", dir)
	if code != exitInterrupted || !strings.Contains(stderr, part+` has the first bytes of "disk.qcow2.gz": the same command goes on from there`) {
		t.Errorf("got %d and\n%s\nwant that it was interrupted, and what it kept", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "disk.qcow2")); err == nil {
		t.Error("the file has its name")
	}
	h.mu.Lock()
	h.halt = nil
	h.mu.Unlock()
	code, stderr = h.pull(t.Context(), t, "disk", dir)
	if _, err := os.Stat(part); code != 0 || err == nil {
		t.Errorf("got %d and\n%s\nwant that it went on to the end", code, stderr)
	}
}

// How far it is, is said on a terminal by a bar, elsewhere by a line every few
// seconds, and not at all with --quiet.
func TestPullProgress(t *testing.T) {
	for _, tt := range []struct {
		name            string
		terminal, quiet bool
		want            []string // "" alone is nothing
	}{
		{"lines", false, false, []string{"disk\\u001b.raw: 40.0 MiB of 100.0 MiB, 5.0 MiB/s, 12s left\ndisk\\u001b.raw: 70.0 MiB of 100.0 MiB, 5.0 MiB/s, 6s left\n"}},
		{"a bar", true, false, []string{"disk\\u001b.raw ", " / 100.0 MiB ["}},
		{"quiet", false, true, []string{""}},
		{"quiet on a terminal", true, true, []string{""}},
	} {
		var errs bytes.Buffer
		now := testTime
		a := &app{system: Streams{Out: &errs, Err: &errs, ErrTerminal: tt.terminal, Now: func() time.Time { return now }}.clean()}
		a.settings.quiet = tt.quiet
		bar := a.newTransferBar()
		for i := range int64(10) {
			bar.update(catalog.PullProgress{Title: "disk\x1b.raw", Bytes: (10 + 10*i) << 20, Size: 100 << 20, Begun: 10 << 20})
			now = now.Add(2 * time.Second)
		}
		bar.clear()
		if text := errs.String(); tt.want[0] == "" && text != "" {
			t.Errorf("%s: got %q, want nothing", tt.name, text)
		}
		for _, part := range tt.want {
			if text := errs.String(); !strings.Contains(text, part) {
				t.Errorf("%s: got %q, want %q in it", tt.name, text, part)
			}
		}
	}
}
