package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// board makes a disk with a real table and file system, its block map by bmaptool,
// and pushes both with oras.
func (s *workshop) board(name string) (reference string) {
	s.t.Helper()
	const mib = 1 << 20
	disk := filepath.Join(s.dir, "board.raw")
	if err := os.WriteFile(disk, nil, 0o666); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Truncate(disk, 48*mib); err != nil {
		s.t.Fatal(err)
	}
	s.write("table", "label: gpt\nstart=2048, size=65536, name=system_a\n")
	s.run("sh", "-c", tools.Debian(s.t, "sfdisk", "fdisk")+" --quiet board.raw <table")
	s.run(tools.Debian(s.t, "mkfs.ext4", "e2fsprogs"), "-q", "-F", "-L", "rootfs", "-E", "offset=1048576", "board.raw", "32M")
	s.run(tools.Debian(s.t, "bmaptool", "bmap-tools"), "create", "-o", "board.raw.bmap", "board.raw")
	size := s.compress("board.raw")
	s.write("board.json", `{"$manifest": {"`+automotive+`target": "rpi4", "`+automotive+`arch": "aarch64"},
		"board.raw.gz": {"`+automotive+`decompressed-size": "`+jsonText(size)+`"}}`)
	reference = s.host + "/os/" + name + ":1"
	s.oras("push", "--plain-http", "--annotation-file", "board.json", "--artifact-type", "application/vnd.automotive.disk.raw+gzip",
		reference, "board.raw.gz:application/vnd.automotive.disk.raw+gzip", "board.raw.bmap:application/vnd.automotive.disk.raw")
	return reference
}

// bytes reads a file of the workshop.
func (s *workshop) bytes(name string) []byte {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// What bmaptool maps, caib checks and writes: the result is bmaptool's, and a disk
// that sfdisk and fsck find nothing wrong with.
func TestBoardsGetWhatBmaptoolWrites(t *testing.T) {
	t.Parallel()
	server := registries.Distribution3(t, true)
	w := newWorld(t, at(server.Host, server.Name, server.Referrers))
	s := &workshop{t: t, dir: t.TempDir(), host: server.Host}
	reference := s.board("board")
	image := s.bytes("board.raw")
	w.ok("catalog", "publish", reference)

	pull := func(dest string, flags ...string) catalog.PulledFile {
		t.Helper()
		var result catalog.PullResult
		out := w.ok(append([]string{"catalog", "pull", "board", dest, "-o", "json"}, flags...)...)
		if err := json.Unmarshal([]byte(out.Stdout), &result); err != nil || len(result.Files) != 1 {
			t.Fatalf("got %v and %s, want one file", err, out.Stdout)
		}
		return result.Files[0]
	}
	file := pull(filepath.Join(s.dir, "pulled.raw"))
	if file.Bmap != "board.raw.bmap" || !bytes.Equal(s.bytes("pulled.raw"), image) {
		t.Errorf("the file that was pulled is not the image: %+v", file)
	}
	s.run(tools.Debian(t, "bmaptool", "bmap-tools"), "copy", "board.raw.gz", "copied.raw")
	if !bytes.Equal(s.bytes("copied.raw"), s.bytes("pulled.raw")) {
		t.Error("bmaptool writes something else")
	}

	device, below := testloop.New(t, 64<<20)
	if err := os.WriteFile(below, bytes.Repeat([]byte("old!"), 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	file = pull(device, "--force", "--read-back")
	if file.File != device || file.Bmap != "board.raw.bmap" || !file.ReadBack || file.Bytes != int64(len(image)) {
		t.Errorf("got %+v, want all of it on %s, read back", file, device)
	}
	if file.LeftBytes == 0 { // loop devices make zeros by themselves
		written, err := os.ReadFile(below)
		if err != nil || !bytes.HasPrefix(written, image) {
			t.Errorf("the device does not hold the image: %v", err)
		}
	}
	s.run(tools.Debian(t, "sfdisk", "fdisk"), "--dump", device)
	s.run(tools.Debian(t, "fsck.ext4", "e2fsprogs"), "-f", "-n", below+"?offset=1048576")
}
