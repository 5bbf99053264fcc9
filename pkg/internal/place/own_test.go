//go:build unix

package place

import (
	"os"
	"path/filepath"
	"testing"
)

// What was stored and has another name is somebody else's, or a file that has its name
// already: it stays as it is.
func TestWhatHasAnotherNameIsNotWrittenTo(t *testing.T) {
	for _, suffix := range []string{".part", ".part.digest"} {
		path := filepath.Join(t.TempDir(), "disk")
		for name, text := range map[string]string{".part": "sto", ".part.digest": "d"} {
			if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		other := filepath.Join(t.TempDir(), "other")
		if err := os.Link(path+suffix, other); err != nil {
			t.Skip(err)
		}
		before, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		f := begin(t, path, map[string]string{".part": "d", ".part.digest": "e"}[suffix], 6)
		if _, size := f.Begun(); size != 0 {
			t.Errorf("%s: %d bytes are begun, want none", suffix, size)
		}
		write(t, f.Store(), "stored")
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		check(t, filepath.Dir(path), map[string]string{"disk": "stored"})
		check(t, filepath.Dir(other), map[string]string{"other": string(before)})
	}
}

// The file of another user is not gone on with, whoever may write to it.
func TestAFileOfAnotherUserIsNotGoneOnWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	f := begin(t, path, "d", 6)
	write(t, f.Store(), "sto")
	f.Leave(true)
	if err := os.Chown(path+".part", 65534, -1); err != nil {
		t.Skip(err)
	}
	f = begin(t, path, "d", 6)
	defer f.Leave(false)
	if _, size := f.Begun(); size != 0 {
		t.Errorf("%d bytes are begun, want none", size)
	}
}
