//go:build unix

package place

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory that is removed or moved while a file is made in it ends the making
// soon, and what has its name then is left alone.
func TestADirectoryThatIsGone(t *testing.T) {
	for what, tt := range map[string]struct {
		vanish func(dir, elsewhere string) error
		want   string
	}{
		"removed": {func(dir, _ string) error { return os.RemoveAll(dir) }, "what was fetched is gone with it"},
		"moved":   {os.Rename, "what was fetched is where the directory is now"},
	} {
		parent := t.TempDir()
		dir, elsewhere := filepath.Join(parent, "dir"), filepath.Join(parent, "elsewhere")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "disk")
		f := begin(t, path, "d", 1<<30)
		write(t, f.Store(), "stored")
		if err := tt.vanish(dir, elsewhere); err != nil {
			t.Fatal(err)
		}
		_, err := io.WriteString(f.Store(), strings.Repeat("x", 1<<20))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", what, err, tt.want)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		theirs := begin(t, path, "e", 6)
		write(t, theirs.Store(), "theirs")
		if err := f.Commit(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, commit: got %v, want %q", what, err, tt.want)
		}
		if f.Leave(true) {
			t.Errorf("%s: something of it is there", what)
		}
		check(t, dir, map[string]string{"disk.part": "theirs", "disk.part.digest": "e", "disk.part.lock": ""})
		theirs.Leave(true)
		if what == "moved" {
			f = begin(t, filepath.Join(elsewhere, "disk"), "d", 1<<30)
			if _, size := f.Begun(); size != 6 {
				t.Errorf("%d bytes are begun where the directory is now, want 6", size)
			}
			f.Leave(true)
		}
	}
}

// A tree in a directory that is gone gets no name.
func TestATreeThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tree := beginTree(t, filepath.Join(dir, "layout"))
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "layout.part"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tree.Commit(); err == nil || !strings.Contains(err.Error(), "what was fetched is where the directory is now") {
		t.Errorf("got %v, want that the directory was moved", err)
	}
	if err := tree.Because(io.ErrUnexpectedEOF); err == nil || !strings.Contains(err.Error(), "what was fetched is where the directory is now") {
		t.Errorf("another error: got %v, want that the directory was moved", err)
	}
	if err := tree.Because(nil); err != nil {
		t.Errorf("no error: got %v", err)
	}
	if tree.Leave() {
		t.Error("something of it is there")
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "layout.part" {
		t.Errorf("the new directory has %q", got)
	}
}
