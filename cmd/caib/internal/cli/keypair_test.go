package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// contents are the files of a directory, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[file.Name()] = string(text)
	}
	return found
}

// Files that come into being after the question was asked are not replaced
// either, and of two files both are written, or none.
func TestWriteKeyFiles(t *testing.T) {
	for name, test := range map[string]struct {
		before  map[string]string
		replace bool
		err     error
		want    map[string]string
	}{
		"new":            {want: map[string]string{"a.key": "private", "a.pub": "public"}},
		"a private key":  {before: map[string]string{"a.key": "old"}, err: entry.ErrConflict, want: map[string]string{"a.key": "old"}},
		"a public key":   {before: map[string]string{"a.pub": "old"}, err: entry.ErrConflict, want: map[string]string{"a.pub": "old"}},
		"both, replaced": {before: map[string]string{"a.key": "old", "a.pub": "old"}, replace: true, want: map[string]string{"a.key": "private", "a.pub": "public"}},
		"one, replaced":  {before: map[string]string{"a.pub": "old"}, replace: true, want: map[string]string{"a.key": "private", "a.pub": "public"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.before {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			private := keyFile{filepath.Join(dir, "a.key"), []byte("private"), 0o600}
			err := writeKeyFiles(test.replace, private, keyFile{filepath.Join(dir, "a.pub"), []byte("public"), 0o644})
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, contents(t, dir)); diff != "" {
				t.Errorf("files (-want +got)\n%s", diff)
			}
			if runtime.GOOS == "windows" || test.err != nil {
				return
			}
			if info, err := os.Stat(private.path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the private key: mode %v, error %v; want 0600", info.Mode(), err)
			}
		})
	}
}

// What goes wrong with one of two files leaves both old ones, and nothing beside
// them.
func TestWriteKeyFilesFails(t *testing.T) {
	dir := t.TempDir()
	private := keyFile{filepath.Join(dir, "a.key"), []byte("private"), 0o600}
	if err := os.WriteFile(private.path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, replace := range []bool{false, true} {
		err := writeKeyFiles(replace, private, keyFile{filepath.Join(dir, "missing", "a.pub"), []byte("public"), 0o644})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("replace %v: got error %v, want %v", replace, err, fs.ErrNotExist)
		}
		if diff := cmp.Diff(map[string]string{"a.key": "old"}, contents(t, dir)); diff != "" {
			t.Errorf("replace %v: files (-want +got)\n%s", replace, diff)
		}
	}
}

// A public key that cannot be replaced leaves the old private key where it is.
func TestWriteKeyFilesKeepsThePrivateKey(t *testing.T) {
	dir := t.TempDir()
	private, public := filepath.Join(dir, "a.key"), filepath.Join(dir, "a.pub")
	if err := os.WriteFile(private, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(public, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeKeyFiles(true, keyFile{private, []byte("private"), 0o600}, keyFile{public, []byte("public"), 0o644}); err == nil {
		t.Error("no error, though the public key's place is taken by a directory")
	}
	if text, err := os.ReadFile(private); string(text) != "old" || err != nil {
		t.Errorf("the private key is %q, error %v; want the old one", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) > 0 || err != nil {
		t.Errorf("left beside the keys: %q, error %v", left, err)
	}
}

// A link is replaced, not followed: what it leads to may be read by others.
func TestWriteKeyFilesReplacesLinks(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "a.key")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip(err)
	}
	private, public := keyFile{link, []byte("private"), 0o600}, keyFile{filepath.Join(dir, "a.pub"), []byte("public"), 0o644}
	if err := writeKeyFiles(false, private, public); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("a link to nowhere: error %v, want a conflict", err)
	}
	if err := writeKeyFiles(true, private, public); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}
