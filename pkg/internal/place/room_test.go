package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/entry"
)

func TestErrorsOfTheDiskHaveTheirKind(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]error{
		syscall.ENOSPC: entry.ErrNoRoom, syscall.EDQUOT: entry.ErrNoRoom, syscall.EFBIG: entry.ErrNoRoom,
		syscall.EROFS: entry.ErrUnauthorized, syscall.EACCES: entry.ErrUnauthorized, syscall.ENOENT: entry.ErrInvalid,
	} {
		err := explain(&fs.PathError{Op: "write", Path: "disk", Err: errno})
		if !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v, want it to be %v", errno, err, want)
		}
	}
	if err := explain(syscall.EIO); entry.Code(err) != "" {
		t.Errorf("got the kind %q of %v, want none", entry.Code(err), err)
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	disk := testloop.Memory(t, 1<<20)
	path := filepath.Join(disk.Dir, "not", "there", "disk")
	if err := Room(path, 1<<20); err != nil {
		t.Errorf("what just fits: %v", err)
	}
	if err := Room(path, 1<<20+1); !errors.Is(err, entry.ErrNoRoom) {
		t.Errorf("a byte more: got %v, want that there is no room", err)
	}
	disk.Remount("ro")
	if err := Room(path, 1<<20+1); err != nil {
		t.Errorf("where nothing may be written: %v", err)
	}
}

// What stands beside a file belongs to it only with a digest of its own.
func TestHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	for _, step := range []struct {
		suffix, text string
		want         int64
	}{{".part", "stored", 0}, {".part.digest", "d", 6}, {".part.out", "content", 13}} {
		if err := os.WriteFile(path+step.suffix, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Held(path); got != step.want {
			t.Errorf("with %s: %d bytes are held, want %d", step.suffix, got, step.want)
		}
	}
}
