package place

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Held is how much of the disk an earlier run took for what is made at a path, which
// the next run goes on from or removes, in bytes.
func Held(path string) (held int64) {
	if _, err := os.Lstat(path + Suffix + ".digest"); err != nil {
		return 0
	}
	for _, suffix := range []string{Suffix, Suffix + ".out"} {
		if info, err := os.Lstat(path + suffix); err == nil && info.Mode().IsRegular() {
			held += info.Size()
		}
	}
	return held
}

// Room reports that there is not so much room for what is made at a path, as an
// entry.ErrNoRoom. Where the system does not say how much there is, or nothing may be
// written, it reports nothing.
func Room(path string, needed int64) error {
	dir := filepath.Dir(path)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
	}
	if room, known := free(dir); known && room < needed {
		return fmt.Errorf("%w: %s: %d bytes more are needed there, and %d are free", entry.ErrNoRoom, dir, needed, room)
	}
	return nil
}

// isFull reports whether an error says that there is no room, or that a file may not
// have so much of it.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) || errors.Is(err, diskFull)
}
