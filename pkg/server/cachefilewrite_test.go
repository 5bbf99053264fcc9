package server

import (
	"os"
	"path/filepath"
	"testing"
)

// A write that fails after it began leaves what was kept before, and no part of
// the new one beside it.
func TestAFailedWriteLeavesTheOldCacheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "served", "file")
	kept := &state{entries: []*servedEntry{{text: "{}"}}}
	if err := kept.write(path, cacheFileHeader{Format: cacheFileFormat}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.write(path, cacheFileHeader{Version: "\xff"}); err == nil { // no JSON text holds that
		t.Error("write of a header that is not UTF-8: got no error")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("file after a failed write: got %q, %v, want %q", got, err, want)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files left: got %v, %v, want one", files, err)
	}
}
