package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

func beginTree(t *testing.T, path string) *Tree {
	t.Helper()
	tree, err := BeginTree(path, "mark", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Leave() })
	return tree
}

// What is in the directory already leads nowhere, and has no part in what gets the
// name.
func TestATreeIsWhatWasWrittenToIt(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "layout")
	for _, dir := range []string{path + ".part", path + ".part/blobs", path + ".part/other"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"index": victim, "kept": victim, "elsewhere": outside, "other/link": victim} {
		if err := os.Symlink(target, filepath.Join(path+".part", name)); err != nil {
			t.Skip(err)
		}
	}
	if err := os.WriteFile(path+".part/blobs/old", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := beginTree(t, path)
	if err := tree.WriteFile("index", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := tree.WriteFile("elsewhere/file", []byte("new")); err == nil {
		t.Error("a file is written outside")
	}
	if err := tree.WriteFile("blobs/new", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := tree.Clear([]string{"index", "kept", "blobs/new"}); err != nil {
		t.Fatal(err)
	}
	if err := tree.Commit(); err != nil {
		t.Fatal(err)
	}
	check(t, outside, map[string]string{"victim": "theirs"})
	check(t, filepath.Join(path, "blobs"), map[string]string{"new": "new"})
	if got := names(t, path); len(got) != 2 || got[0] != "blobs" || got[1] != "index" {
		t.Errorf("the directory has %q", got)
	}
	usual := filepath.Join(outside, "usual")
	if err := os.Mkdir(usual, 0o777); err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(usual)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(path); err != nil || got.Mode() != want.Mode() {
		t.Errorf("the directory has the mode %v, %v; want %v", got.Mode(), err, want.Mode())
	}
}

// What others may have written to is not gone on with.
func TestATreeOfOthersIsInTheWay(t *testing.T) {
	for name, plant := range map[string]func(part string) error{
		"others may write": func(part string) error { return errors.Join(os.Mkdir(part, 0o700), os.Chmod(part, 0o777)) },
		"a link":           func(part string) error { return os.Symlink(t.TempDir(), part) },
		"a file":           func(part string) error { return os.WriteFile(part, nil, 0o600) },
	} {
		path := filepath.Join(t.TempDir(), "layout")
		if err := plant(path + ".part"); err != nil {
			t.Skip(err)
		}
		tree, err := BeginArchive(path, false)
		if !errors.Is(err, entry.ErrConflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
		if err == nil {
			tree.Leave()
		}
		if _, err := os.Lstat(path + ".part.lock"); err == nil {
			t.Errorf("%s: the lock is left", name)
		}
	}
}

// A run may end between the two renames that replace a directory, or behind them.
func TestWhatIsReplacedIsNotLost(t *testing.T) {
	marked := func(t *testing.T, dir, text string) {
		t.Helper()
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "mark"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for what, leave := range map[string]func(t *testing.T, path string){
		"before the second": func(t *testing.T, path string) { marked(t, path+".part.old", "old") },
		"behind the second": func(t *testing.T, path string) {
			marked(t, path, "old")
			if err := os.Mkdir(path+".part.old", 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		path := filepath.Join(t.TempDir(), "layout")
		leave(t, path)
		if _, err := BeginTree(path, "mark", false); what != "before the second" && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v, want that it exists", what, err)
		}
		tree, err := BeginTree(path, "mark", true)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		check(t, path, map[string]string{"mark": "old"})
		if err := tree.WriteFile("mark", []byte("new")); err != nil {
			t.Fatal(err)
		}
		if err := tree.Commit(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		tree.Leave()
		check(t, path, map[string]string{"mark": "new"})
		if got := names(t, filepath.Dir(path)); len(got) != 1 {
			t.Errorf("%s: there are %q, want the directory alone", what, got)
		}
	}
	path := filepath.Join(t.TempDir(), "layout")
	if err := os.Mkdir(path+".part.old", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := BeginTree(path, "mark", true); !errors.Is(err, entry.ErrConflict) || errors.Is(err, fs.ErrExist) {
		t.Errorf("somebody's own: got %v, want a conflict that force does not end", err)
	}
}

// What is replaced has its name again where the other cannot take it.
func TestAFailedRenameIsUndone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "mark"), []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	tree, err := BeginTree(path, "mark", true)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Leave()
	if err := os.Rename(path+".part", path+".elsewhere"); err != nil {
		t.Skip(err)
	}
	if err := tree.Commit(); err == nil {
		t.Error("it was committed")
	}
	check(t, path, map[string]string{"mark": "old"})
}
