package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names are the files of a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		all = append(all, file.Name())
	}
	return all
}

func TestReplace(t *testing.T) {
	for _, options := range []Options{{}, {Mode: 0o644}, {NoSync: true}, {Prepare: func(f *os.File) error { return f.Chmod(0o640) }}} {
		path := filepath.Join(t.TempDir(), "file")
		for _, content := range []string{"old", "new"} {
			if err := Replace(path, []byte(content), options); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != content {
				t.Errorf("content: got %q, %v, want %q", got, err, content)
			}
		}
		want := options.Mode
		switch {
		case options.Prepare != nil:
			want = 0o640
		case want == 0:
			want = 0o600
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("mode: got %v, %v, want %v", info.Mode(), err, want)
		}
		if diff := cmp.Diff([]string{"file"}, names(t, filepath.Dir(path))); diff != "" {
			t.Errorf("files left (-want +got)\n%s", diff)
		}
	}
}

// What goes wrong leaves the old file, and nothing beside it.
func TestFailedReplace(t *testing.T) {
	broken := errors.New("broken")
	fails := func(io.Writer) error { return broken }
	path := filepath.Join(t.TempDir(), "file")
	if err := Replace(path, []byte("old"), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceBy(path, Options{}, fails); !errors.Is(err, broken) {
		t.Errorf("write fails: got error %v, want %v", err, broken)
	}
	if err := ReplaceBy(path, Options{Prepare: func(*os.File) error { return broken }}, fails); !errors.Is(err, broken) {
		t.Errorf("prepare fails: got error %v, want %v", err, broken)
	}
	draft, err := Write(path, Options{}, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err })
	if err != nil || draft.Info.Size() != 3 {
		t.Fatalf("draft: got %+v, %v, want 3 bytes", draft, err)
	}
	draft.Discard()
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("content: got %q, %v, want the old one", got, err)
	}
	if diff := cmp.Diff([]string{"file"}, names(t, filepath.Dir(path))); diff != "" {
		t.Errorf("files left (-want +got)\n%s", diff)
	}
}
