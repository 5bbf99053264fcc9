package e2e

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/e2e/tools"
)

// limited runs caib where no file of more than 1 MiB can be written, and none is left in
// the directory for temporary ones. Its output goes to another program, and what it
// keeps for itself is no more than that either.
func (w *world) limited(t *testing.T, reader string, args ...string) {
	t.Helper()
	home := t.TempDir()
	env := []string{"HOME=" + home, "TMPDIR=" + emptyDir(t)}
	const script = `set -o pipefail; reader=$1; shift; (ulimit -f 1024; exec "$@") | eval "$reader"`
	if result := tools.Run(t, env, "bash", append([]string{"-c", script, "bash", reader, w.caib}, args...)...); result.Code != 0 {
		t.Fatalf("caib %v: exit code %d\n%s", args, result.Code, result.Stderr)
	}
	kept := int64(0)
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		kept += info.Size()
		return err
	})
	if err != nil || kept > 1<<20 {
		t.Errorf("caib %v keeps %d bytes below HOME, want at most 1 MiB (%v)", args, kept, err)
	}
}

// A large image is copied, and kept in a file, without a temporary one: nothing is
// written but where the image goes to.
func TestLargeImagesTakeNoTemporaryDisk(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	s := newSource(t, "ggcr")
	tool := &workshop{t: t, dir: t.TempDir(), host: s.of.address}
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	if err := os.WriteFile(filepath.Join(tool.dir, "disk.raw"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	image := s.on.image("large") + ":1"
	tool.oras("push", "--plain-http", "--artifact-type", "application/vnd.automotive.disk.raw", "--annotation", automotive+"distro=autosd10-sig",
		"--annotation", automotive+"target=qemu", "--annotation", automotive+"arch=x86_64", image, "disk.raw:application/vnd.automotive.disk.raw")
	s.ok("catalog", "publish", image, "--name", "large", "--sign-key", s.private)

	to := newCounted(t, "distribution-3.1")
	s.limited(t, "cat", "catalog", "copy", s.on.catalog, to.address+"/mirror/catalog")
	if _, sent := to.taken(); sent < size {
		t.Errorf("the copy sent %d bytes, want the %d of the image", sent, size)
	}
	file := filepath.Join(t.TempDir(), "catalog.tar")
	s.limited(t, "cat > '"+file+"'", "catalog", "backup", s.on.catalog, "-")
	if info, err := os.Stat(file); err != nil || info.Size() < size {
		t.Errorf("the backup: %v, %v, want the %d bytes of the image", info, err, size)
	}
	again := newCounted(t, "ggcr")
	s.limited(t, "cat", "catalog", "restore", file, again.address+"/mirror/catalog")
	if _, sent := again.taken(); sent < size {
		t.Errorf("the restore sent %d bytes, want the %d of the image", sent, size)
	}

	// A file beyond the limit is one that would be noticed.
	script := `ulimit -f 1024; "$@"`
	beyond := tools.Run(t, []string{"HOME=" + t.TempDir()}, "bash", "-c", script, "bash", s.caib, "catalog", "backup", s.on.catalog, filepath.Join(t.TempDir(), "catalog.tar"))
	if beyond.Code == 0 || !strings.Contains(beyond.Stderr, "file too large") {
		t.Errorf("a file of %d bytes can be written, with exit code %d:\n%s", size, beyond.Code, beyond.Stderr)
	}
}
