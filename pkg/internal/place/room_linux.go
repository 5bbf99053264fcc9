package place

import (
	"cmp"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// diskFull is how the system says it beside ENOSPC.
const diskFull = unix.ENOSPC

// free is how many bytes whoever runs this may still write to the file system of a
// directory, where it says so.
func free(dir string) (bytes int64, known bool) {
	var found unix.Statfs_t
	if unix.Access(dir, unix.W_OK) != nil || unix.Statfs(dir, &found) != nil || found.Blocks == 0 {
		return 0, false
	}
	blocks, size := found.Bavail, uint64(cmp.Or(found.Frsize, found.Bsize))
	if os.Geteuid() == 0 { // what is kept for root
		blocks = found.Bfree
	}
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, true
	}
	return int64(blocks * size), true
}
