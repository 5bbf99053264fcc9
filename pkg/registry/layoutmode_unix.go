//go:build unix

package registry

import (
	"io/fs"
	"syscall"
)

const (
	openNonblock = syscall.O_NONBLOCK
	openNoFollow = syscall.O_NOFOLLOW

	// holdIndex: a file that is replaced stays open, so that no other file gets
	// its inode number. Elsewhere an open file cannot be replaced.
	holdIndex = true
)

// group returns the group of a file, -1 if it has none.
func group(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Gid)
	}
	return -1
}
