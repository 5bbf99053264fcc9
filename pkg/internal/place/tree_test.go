package place

import (
	"errors"
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
