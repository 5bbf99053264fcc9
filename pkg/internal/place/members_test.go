package place

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

// beginMembers begins to make files in a directory.
func beginMembers(t *testing.T, dir string, force bool) *Members {
	t.Helper()
	m, err := BeginMembers(dir, filepath.Join(dir, "disk.tar"), force)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Leave)
	return m
}

// put makes a file, and returns the error.
func put(m *Members, name, content string) error {
	_, err := m.Write(name, strings.NewReader(content))
	return err
}

// Files have their names once all are whole, and not before.
func TestMembers(t *testing.T) {
	dir := t.TempDir()
	m := beginMembers(t, dir, false)
	for name, content := range map[string]string{"boot": "no", "later": "no"} {
		if err := put(m, name, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	holes := strings.Repeat("\x00", 1<<20) + "end"
	want := map[string]string{"boot": "of boot", "images/system": holes}
	for name, content := range want {
		if err := put(m, name, content); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s has its name already", name)
		}
	}
	if err := put(m, "boot", "again"); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("two of a name: %v, want malformed", err)
	}
	if err := m.Commit(); err != nil {
		t.Fatal(err)
	}
	m.Leave()
	for name, content := range want {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != content {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	if found, _ := os.ReadDir(dir); len(found) != 2 {
		t.Errorf("%v are left, want what was made and nothing else", found)
	}
	if size := allocated(t, filepath.Join(dir, "images/system")); size > 512<<10 {
		t.Errorf("the holes take %d bytes", size)
	}
}

// What is there stays, unless it is a regular file and may be replaced; no link leads
// out of the directory.
func TestMembersInTheWay(t *testing.T) {
	outside := t.TempDir()
	for _, tt := range []struct {
		name, member string
		force        bool
		lay          func(dir string) error
		want         error
	}{
		{"a file", "a", false, func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600) }, entry.ErrConflict},
		{"a file, by force", "a", true, func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600) }, nil},
		{"a link", "a", true, func(dir string) error { return os.Symlink(outside+"/x", filepath.Join(dir, "a")) }, entry.ErrConflict},
		{"a directory", "a", true, func(dir string) error { return os.Mkdir(filepath.Join(dir, "a"), 0o700) }, entry.ErrConflict},
		{"a file where a directory is to be", "a/b", true, func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600) }, entry.ErrConflict},
		{"a link to another directory", "a/b", true, func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "a")) }, entry.ErrConflict},
	} {
		for _, late := range []bool{false, true} {
			dir := t.TempDir()
			m := beginMembers(t, dir, tt.force)
			if !late {
				if err := tt.lay(dir); err != nil {
					t.Fatal(err)
				}
			}
			err := put(m, tt.member, "new")
			if late {
				if err != nil {
					t.Fatal(err)
				}
				if err := tt.lay(dir); err != nil {
					t.Fatal(err)
				}
			}
			if err == nil {
				err = m.Commit()
			}
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s, late %t: %v, want %v", tt.name, late, err, tt.want)
			}
			if found, _ := os.ReadDir(outside); len(found) > 0 {
				t.Errorf("%s, late %t: %v is outside", tt.name, late, found)
			}
		}
	}
}
