//go:build linux

package blockdevice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/entry"
)

// noise is content without zeros, but for a hole that is longer than what is written
// as zeros.
func noise(size int) []byte {
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(content)
	clear(content[3*mib : 5*mib+4096])
	return content
}

func openLoop(t *testing.T, device string) Disk {
	t.Helper()
	info, err := Inspect(device)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := Open(info)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// fill makes a device hold something everywhere.
func fill(t *testing.T, file string, size int) {
	t.Helper()
	if err := os.WriteFile(file, bytes.Repeat([]byte("old!"), size/4), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoopHoldsWhatWasWritten(t *testing.T) {
	t.Parallel()
	device, file := testloop.New(t, 16*mib)
	fill(t, file, 16*mib)
	content := noise(12*mib + 77)
	var read int64
	w := NewWriter(openLoop(t, device), Options{ReadBack: true, Progress: func(n, _ int64) { read = n }})
	for from := 0; from < len(content); from += 100_001 {
		if _, err := w.Write(content[from:min(from+100_001, len(content))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if reread, err := w.Close(); reread != nil || err != nil {
		t.Errorf("close: %v, %v, want neither", reread, err)
	}
	found, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found[:len(content)], content) {
		t.Error("the device does not hold the image")
	}
	if !bytes.Equal(found[len(content):15*mib], bytes.Repeat([]byte("old!"), 4*mib)[len(content):15*mib]) {
		t.Error("what is behind the image was not left alone")
	}
	if !bytes.Equal(found[15*mib:], make([]byte, mib)) {
		t.Error("the last MiB is not zero")
	}
	if want := int64(len(content) - mib); read != want {
		t.Errorf("%d bytes were read back, want %d", read, want)
	}
}

// The file below the device is changed behind the back of the device's cache.
func TestLoopIsReadBackPastTheCache(t *testing.T) {
	t.Parallel()
	device, file := testloop.New(t, 16*mib)
	disk := openLoop(t, device)
	w := NewWriter(spoiled{disk, file}, Options{ReadBack: true})
	if _, err := w.Write(noise(12 * mib)); err != nil {
		t.Fatal(err)
	}
	err := w.Commit(context.Background())
	if !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("got %v, want a malformed device", err)
	}
	if _, err := w.Close(); err != nil {
		t.Error(err)
	}
	found, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found[:mib], make([]byte, mib)) {
		t.Error("the first MiB is not zero")
	}
}

// spoiled is a device of which a byte changes once all is written out.
type spoiled struct {
	Disk
	file string
}

func (s spoiled) Drop() error {
	file, err := os.OpenFile(s.file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = file.WriteAt([]byte{0}, 7*mib+1); err != nil {
		return err
	}
	return file.Sync()
}

func TestLoopInUseIsRefused(t *testing.T) {
	t.Parallel()
	device, _ := testloop.New(t, 16*mib)
	disk := openLoop(t, device)
	info, err := Inspect(device)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(info)
	if !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a second time: got %v, want a conflict: in use", err)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	info.SizeBytes++
	if _, err = Open(info); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("with another size: got %v, want a conflict", err)
	}
	info.SizeBytes--
	info.sequence++
	if _, err = Open(info); info.sequence > 1 && !errors.Is(err, entry.ErrConflict) {
		t.Errorf("with another sequence number: got %v, want a conflict", err)
	}
}

// A table is written through the device, its partition gets a file system, which is
// mounted, and then the device is no longer written to.
func TestLoopWithAMountedPartition(t *testing.T) {
	t.Parallel()
	device, file := testloop.New(t, 64*mib)
	w := NewWriter(openLoop(t, device), Options{})
	table := make([]byte, 2*mib)
	copy(table[446:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0}) // from sector 2048 on, 65536 of them
	copy(table[510:], "\x55\xaa")
	if _, err := w.Write(table); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if reread, err := w.Close(); reread != nil || err != nil {
		t.Fatalf("close: %v, %v, want neither", reread, err)
	}
	part := device + "p1"
	if _, err := os.Stat(part); err != nil { // a kernel that knows no tables
		tool(t, "addpart", device, "1", "2048", "65536")
		if _, err := os.Stat(part); err != nil {
			t.Skipf("nobody makes nodes for partitions here: %v", err)
		}
	}
	tool(t, "mkfs.ext4", "-q", "-L", "rootfs", part)
	info, err := Inspect(device)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(device)
	if diff := cmp.Diff([]Content{{Name: name + "p1", SizeBytes: 32 * mib, Type: "ext4", Label: "rootfs"}}, info.Content); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if info.Model != file || info.Name != name || info.SizeBytes != 64*mib {
		t.Errorf("got %+v", info)
	}
	if err := info.Check(0, false); err != nil {
		t.Errorf("before it is mounted: %v", err)
	}
	dir := t.TempDir()
	tool(t, "mount", part, dir)
	t.Cleanup(func() { tool(t, "umount", dir) })
	for _, path := range []string{device, part} {
		info, err := Inspect(path)
		if err != nil {
			t.Fatal(err)
		}
		err = info.Check(0, true)
		if want := name + "p1 is mounted on " + dir; !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a conflict: %s", path, err, want)
		}
		if _, err := Open(info); !errors.Is(err, entry.ErrConflict) { // even where mounts are not seen
			t.Errorf("%s: got %v, want a conflict", path, err)
		}
	}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is missing", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// What lets nobody read past the cache is read when the cache is empty, and only then.
func TestLoopIsNotReadFromTheCache(t *testing.T) {
	t.Parallel()
	device, file := testloop.New(t, 16*mib)
	disk := openLoop(t, device).(*blockDisk)
	defer disk.Close()
	disk.direct = false
	p := make([]byte, 4096)
	if _, err := disk.ReadAt(p, mib); !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), "cannot be read past the cache") {
		t.Errorf("got %v, want that it cannot be read past the cache", err)
	}
	if _, err := disk.file.ReadAt(p, mib); err != nil { // it is in the cache now
		t.Fatal(err)
	}
	fill(t, file, 16*mib)
	if err := disk.Drop(); err != nil {
		t.Fatal(err)
	}
	if !disk.dropped {
		t.Skip("the cache cannot be emptied here")
	}
	if _, err := disk.ReadAt(p, mib); err != nil || !bytes.HasPrefix(p, []byte("old!")) {
		t.Errorf("got %q, %v, want what is below the device", p[:4], err)
	}
}

// A device that has less than it says, as one that is thin, or a forged card.
func TestLoopWithoutRoom(t *testing.T) {
	t.Parallel()
	file := filepath.Join(testloop.Memory(t, 4*mib).Dir, "device")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 32*mib); err != nil {
		t.Fatal(err)
	}
	device, detach, err := testloop.Attach(file)
	if err != nil {
		t.Skipf("no loop device can be made here: %v", err)
	}
	defer func() {
		if err := detach(); err != nil {
			t.Error(err)
		}
	}()
	w := NewWriter(openLoop(t, device), Options{})
	content := noise(24 * mib)
	for len(content) > 0 && err == nil {
		_, err = w.Write(content[:mib])
		content = content[mib:]
	}
	if err == nil {
		err = w.Commit(context.Background())
	}
	var refused *Error
	if !errors.As(err, &refused) || refused.Path != device {
		t.Errorf("got %v, want an error of the device", err)
	}
	t.Log(err)
	_, _ = w.Close()
}

func TestErrorsOfDevices(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]string{
		unix.EIO: "was taken out, or is broken", unix.ENODEV: "was taken out, or is broken", unix.ENXIO: "was taken out, or is broken",
		unix.ENOSPC: "has less than it says",
	} {
		var refused *Error
		err := explain("/dev/test", fmt.Errorf("write: %w", errno))
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "/dev/test "+want) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v, want %q", errno, err, want)
		}
	}
	if err := explain("/dev/test", nil); err != nil {
		t.Errorf("of none: %v", err)
	}
}
