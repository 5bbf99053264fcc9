package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// With a directory for stored bytes, a pull to a device or to standard output that is
// killed fetches only the rest the next time.
func TestKilledWithACache(t *testing.T) {
	t.Parallel()
	const first = 5 << 20
	w, c, content := cutWorld(t, 8<<20)
	for _, dest := range []string{"-", "device"} {
		t.Run(dest, func(t *testing.T) {
			written := func(out string) []byte { return []byte(out) }
			args := []string{"catalog", "pull", "disk", dest, "-o", "json", "--cache", filepath.Join(t.TempDir(), "cache")}
			cache := args[len(args)-1]
			if dest == "device" {
				device, below := testloop.New(t, 16<<20)
				args[3] = device
				args = append(args, "--force")
				written = func(string) []byte {
					text, err := os.ReadFile(below)
					if err != nil {
						t.Fatal(err)
					}
					return text[:len(content)]
				}
			}
			command, killed := exec.Command(w.caib, args...), make(chan struct{})
			command.Env, command.Stdout = tools.Env(t, w.env), io.Discard
			c.set(func() int64 { return first }, func() { <-killed })
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			testwait.Until(t, "what was sent to be stored", func() bool { return storedIn(cache) == first })
			_ = command.Process.Kill()
			close(killed)
			testwait.Return(t, "the pull to be killed", func() { _ = command.Wait() })
			if dest == "device" && !bytes.Equal(written("")[:1<<20], make([]byte, 1<<20)) {
				t.Error("the first MiB of the device is not zero after the kill")
			}

			c.set(nil, nil)
			result := w.ok(args...)
			served := c.set(nil, nil)
			report, pulled := result.Stdout, catalog.PullResult{}
			if dest == "-" {
				report = result.Stderr
			}
			fromJSON(t, report, &pulled)
			if file := pulled.Files[0]; file.Resumed != first || served != file.SizeBytes-first {
				t.Errorf("%d bytes were served, %d are said to have been there, want %d of %d", served, file.Resumed, first, file.SizeBytes)
			}
			if !bytes.Equal(written(result.Stdout), content) {
				t.Error("what was written is not the content")
			}
			if left := tree(t, cache); len(left) > 0 {
				t.Errorf("%d files are left in the cache", len(left))
			}
		})
	}
}

// storedIn is how many bytes a cache has of the one file that is begun there.
func storedIn(cache string) int64 {
	parts, _ := filepath.Glob(filepath.Join(cache, "*.part"))
	if len(parts) != 1 {
		return 0
	}
	info, err := os.Stat(parts[0])
	if err != nil {
		return 0
	}
	return info.Size()
}
