//go:build unix

package place

import (
	"os"
	"syscall"
	"testing"
)

// allocated is what a file takes of the disk, in bytes.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(info.Sys().(*syscall.Stat_t).Blocks) * 512
}
