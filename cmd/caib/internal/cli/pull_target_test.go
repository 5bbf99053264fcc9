package cli

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
)

// process is caib as a process of its own.
type process struct {
	*exec.Cmd
	stderr bytes.Buffer
}

func newProcess(t *testing.T, env map[string]string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), "caib-process", args...)}
	p.Stderr = &p.stderr
	p.Env = os.Environ()
	for name, value := range env {
		p.Env = append(p.Env, name+"="+value)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	testwait.Return(t, "caib to end", func() { _ = p.Wait() }) // the code says how
	return p.ProcessState.ExitCode()
}

// blocking is a registry with the entries disk and boots, of which the first blob of
// a file, or of a layout, is sent once step returns.
type blocking struct {
	env map[string]string

	mu     sync.Mutex
	step   func()
	passed int // blobs that were asked for since
}

func newBlocking(t *testing.T) *blocking {
	t.Helper()
	b := &blocking{env: homeEnv(t)}
	registry := newRegistry(true)
	f := &fake{}
	f.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && !strings.Contains(r.URL.Path, "/team/catalog/") {
			b.mu.Lock()
			step := b.step
			if b.passed++; b.passed < 2 && strings.Contains(r.URL.Path, "/team/boots/") {
				step = nil // it says what the image is
			}
			if step != nil {
				b.step = nil
			}
			b.mu.Unlock()
			if step != nil {
				step()
			}
		}
		registry.ServeHTTP(w, r)
	}), false)
	t.Cleanup(f.server.Close)
	b.env["CAIB_CATALOG"] = f.host + "/team/catalog"
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1", Created: testTime}
	for name, kind := range map[string]string{"disk": "disk", "boots": "bootc"} {
		image := f.host + "/team/" + name + ":1"
		if _, err := pushSample(kind, image, build); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run(t, b.env, "catalog", "publish", image); code != 0 {
			t.Fatalf("publish: %d\n%s", code, stderr)
		}
	}
	return b
}

// before has step called before the next blob is sent.
func (b *blocking) before(step func()) {
	b.mu.Lock()
	b.step, b.passed = step, 0
	b.mu.Unlock()
}

// Of two processes that pull to one DEST, one wins, and the other says why it does not.
func TestTwoProcessesPullToOnePlace(t *testing.T) {
	b := newBlocking(t)
	for name, dest := range map[string]string{"disk": "disk.img", "boots": "layout"} {
		for _, force := range []string{"--force=false", "--force"} {
			path := filepath.Join(t.TempDir(), dest)
			begun, goOn := make(chan struct{}), make(chan struct{})
			b.before(func() { close(begun); <-goOn })
			first := newProcess(t, b.env, "catalog", "pull", name, path, force)
			testwait.Receive(t, "the first process to ask for a blob", begun)
			second := newProcess(t, b.env, "catalog", "pull", name, path, force)
			if code := second.end(t); code != exitConflict || !strings.Contains(second.stderr.String(), "somebody else is fetching "+path+" at this moment") || strings.Contains(second.stderr.String(), "--force") {
				t.Errorf("%s %s, the second: got %d and\n%s", name, force, code, second.stderr.String())
			}
			close(goOn)
			if code := first.end(t); code != exitOK {
				t.Errorf("%s %s, the first: got %d and\n%s", name, force, code, first.stderr.String())
			}
			if found, _ := filepath.Glob(path + "*"); len(found) != 1 {
				t.Errorf("%s %s: there are %q, want %s alone", name, force, found, path)
			}
		}
	}
}

// A directory that is removed or moved meanwhile is named, and so is what stays.
func TestPullToADirectoryThatVanishes(t *testing.T) {
	b := newBlocking(t)
	for name, dest := range map[string]string{"disk": "disk.img", "boots": "layout"} {
		for what, tt := range map[string]struct {
			vanish func(dir, to string) error
			want   string
		}{
			"removed": {func(dir, _ string) error { return os.RemoveAll(dir) }, "removed, moved or unmounted meanwhile, and what was fetched is gone with it"},
			"moved":   {os.Rename, "removed, moved or unmounted meanwhile, and what was fetched is where the directory is now"},
		} {
			dir := filepath.Join(t.TempDir(), "dir")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			b.before(func() {
				if err := tt.vanish(dir, dir+"2"); err != nil {
					t.Error(err)
				}
			})
			code, _, stderr := run(t, b.env, "catalog", "pull", name, filepath.Join(dir, dest))
			if code != exitFailure || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "goes on from there") {
				t.Errorf("%s, %s: got %d and\n%s", name, what, code, stderr)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s, %s: the directory is there again", name, what)
			}
		}
	}
}
