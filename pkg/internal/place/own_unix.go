//go:build unix

package place

import (
	"io/fs"
	"os"
	"syscall"
)

// noFollow has a file opened only where its name is no link.
const noFollow = syscall.O_NOFOLLOW

// isOwn reports whether what has a name belongs to whoever runs this, and a file has
// no other name by which somebody else may have it.
func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && (info.IsDir() || stat.Nlink == 1)
}

// isRemoved reports whether a file that is open has no name any more.
func isRemoved(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// isShared reports whether others may write to a directory.
func isShared(info fs.FileInfo) bool { return info.Mode()&0o022 != 0 }
