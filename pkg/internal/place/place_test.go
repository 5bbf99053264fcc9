package place

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/zero"
)

// names are what is in a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func begin(t *testing.T, path, digest string, size int64) *File {
	t.Helper()
	f, err := Begin(path, digest, size, false)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, name := range names(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAFileHasItsNameOnceItIsWhole(t *testing.T) {
	for _, unpacked := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "disk")
		f := begin(t, path, "d", 6)
		write(t, f.Store(), "stored")
		want := "stored"
		if unpacked {
			want = "content"
			w, err := f.Unpacked()
			if err != nil {
				t.Fatal(err)
			}
			write(t, w, want)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is there before it is whole: %v", err)
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		f.Leave(true)
		check(t, dir, map[string]string{"disk": want})
	}
}

func TestTheNextRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	f := begin(t, path, "d", 6)
	write(t, f.Store(), "sto")
	w, err := f.Unpacked()
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, "con")
	if !f.Leave(true) {
		t.Error("nothing is kept")
	}
	check(t, dir, map[string]string{"disk.part": "sto", "disk.part.digest": "d"})

	f = begin(t, path, "d", 6)
	from, size := f.Begun()
	text, err := io.ReadAll(from)
	if string(text) != "sto" || size != 3 || err != nil {
		t.Errorf("begun: %q of %d bytes, %v", text, size, err)
	}
	write(t, f.Store(), "red")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"disk": "stored"})
}

func TestWhatIsStoredIsOfOneBlob(t *testing.T) {
	for name, tt := range map[string]struct {
		digest string
		size   int64
		want   int64
	}{"the same": {"d", 6, 3}, "another": {"e", 6, 0}, "a shorter one": {"d", 2, 0}} {
		path := filepath.Join(t.TempDir(), "disk")
		f := begin(t, path, "d", 6)
		write(t, f.Store(), "sto")
		f.Leave(true)
		f = begin(t, path, tt.digest, tt.size)
		if _, size := f.Begun(); size != tt.want {
			t.Errorf("%s: %d bytes are begun, want %d", name, size, tt.want)
		}
		if err := f.Restart(); err != nil {
			t.Fatal(err)
		}
		write(t, f.Store(), "anew")
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		check(t, filepath.Dir(path), map[string]string{"disk": "anew"})
	}
}

// Who makes a file anew goes on with the writers that are there.
func TestWritersOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	f := begin(t, path, "d", 5)
	stored := f.Store()
	unpacked, err := f.Unpacked()
	if err != nil {
		t.Fatal(err)
	}
	write(t, stored, "wrong")
	write(t, unpacked, "wrong content")
	if err := f.Restart(); err != nil {
		t.Fatal(err)
	}
	write(t, stored, "right")
	write(t, unpacked, "content")
	check(t, dir, map[string]string{"disk.part": "right", "disk.part.digest": "d", "disk.part.lock": "", "disk.part.out": "content"})
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"disk": "content"})
}

func TestWhatIsThereStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(path, "d", 6, false); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	check(t, dir, map[string]string{"disk": "old"})
	f, err := Begin(path, "d", 3, true)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.Store(), "new")
	check(t, dir, map[string]string{"disk": "old", "disk.part": "new", "disk.part.digest": "d", "disk.part.lock": ""})
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"disk": "new"})
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(filepath.Join(dir, "directory"), "d", 3, true); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("a directory: got %v, want a conflict", err)
	}
}

// A file that only looks like what is stored is somebody's own.
func TestAPartWithoutItsDigestStays(t *testing.T) {
	for _, text := range []string{"theirs", ""} {
		dir := t.TempDir()
		path := filepath.Join(dir, "disk")
		if err := os.WriteFile(path+".part", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Begin(path, "d", 9, true); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "disk.part is there") {
			t.Errorf("got %v, want a conflict with the file", err)
		}
		check(t, dir, map[string]string{"disk.part": text})
	}
}

// A file that comes into being meanwhile is not replaced either.
func TestNobodysPlaceIsTaken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	f := begin(t, path, "d", 3)
	write(t, f.Store(), "new")
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	f.Leave(true)
	check(t, dir, map[string]string{"disk": "theirs", "disk.part": "new", "disk.part.digest": "d"})
}

func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	f := begin(t, path, "d", 3)
	if _, err := Begin(path, "d", 3, true); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "somebody else is fetching") {
		t.Errorf("got %v, want that somebody else is fetching it", err)
	}
	write(t, f.Store(), "new")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	check(t, filepath.Dir(path), map[string]string{"disk": "new"})
}

// Who may write to the directory may have put something else there.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	for _, suffix := range []string{".part", ".part.digest", ".part.lock"} {
		dir := t.TempDir()
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "disk")
		if err := os.Symlink(victim, path+suffix); err != nil {
			t.Skip(err)
		}
		if _, err := Begin(path, "d", 3, true); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "is in the way") {
			t.Errorf("%s: got %v, want that it is in the way", suffix, err)
		}
		check(t, filepath.Dir(victim), map[string]string{"victim": "theirs"})
	}
}

func TestHoles(t *testing.T) {
	content := make([]byte, 5<<20+123)
	copy(content[1<<20:], "something")
	copy(content[3<<20+4095:], bytes.Repeat([]byte("x"), 10_000))
	for _, chunk := range []int{1, 1000, 4096, 100_000, len(content)} {
		if chunk == 1 {
			content = content[:20_000]
		} else {
			content = content[:cap(content)]
		}
		path := filepath.Join(t.TempDir(), "file")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		h := &holes{file: file}
		for from := 0; from < len(content); from += chunk {
			piece := content[from:min(from+chunk, len(content))]
			if n, err := h.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("pieces of %d: wrote %d of %d, %v", chunk, n, len(piece), err)
			}
			if info, err := file.Stat(); err != nil || info.Size() != int64(from+len(piece)) {
				t.Fatalf("pieces of %d: %d bytes are there after %d, %v", chunk, info.Size(), from+len(piece), err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("pieces of %d: got %d bytes that are not the content, %v", chunk, len(got), err)
		}
		if used := allocated(t, path); chunk >= zero.Block && used > 200_000 {
			t.Errorf("pieces of %d: %d bytes are used, want holes", chunk, used)
		}
	}
}
