package catalog_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// tarOf is a tar of files, in the order of their names, by name and content.
func tarOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for n := 0; n < len(files); n += 2 {
		header := tar.Header{Typeflag: tar.TypeReg, Name: files[n], Size: int64(len(files[n+1])), Mode: 0o644}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[n+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// below is what is in a directory and those below it, by name with slashes.
func below(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(read(t, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The one file in a tar, as automotive builds make it, is what a file, a device and an
// output get; a directory gets it under its name.
func TestPullTarOfOneFile(t *testing.T) {
	w := newDiskWorld(t)
	content := noise(1, 3<<20)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "autosd.img"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	stored, err := exec.Command("tar", "-C", dir, "-czf", "-", "autosd.img").Output()
	if err != nil {
		t.Skip(err)
	}
	w.publishDisk("disk", diskFile{title: "autosd.tar.gz", compression: "gzip", tar: true, stored: stored, stated: -1})
	file := filepath.Join(dir, "file")
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: file}); err != nil || !bytes.Equal(read(t, file), content) {
		t.Errorf("into a file: %v, or other bytes", err)
	}
	var out bytes.Buffer
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Out: &out}); err != nil || !bytes.Equal(out.Bytes(), content) {
		t.Errorf("into an output: %v and %d bytes", err, out.Len())
	}
	into := t.TempDir()
	result, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: into})
	want := []catalog.PulledMember{{File: filepath.Join(into, "autosd.img"), Bytes: int64(len(content))}}
	if diff := cmp.Diff(want, result.Files[0].Members); err != nil || diff != "" || result.Files[0].File != into {
		t.Errorf("into a directory: %v\n%s", err, diff)
	}
	if diff := cmp.Diff(map[string]string{"autosd.img": string(content)}, below(t, into)); diff != "" {
		t.Errorf("the directory has other files than that of the tar")
	}
	into = t.TempDir()
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: into, KeepCompressed: true}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"autosd.tar.gz": string(stored)}, below(t, into)); diff != "" {
		t.Error("as it is stored, it is another file")
	}
	device, under := testloop.New(t, 16<<20)
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: device, Force: true, ReadBack: true}); err != nil || !bytes.HasPrefix(read(t, under), content) {
		t.Errorf("to a device: %v, or other bytes", err)
	}
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: device, Force: true, KeepCompressed: true}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("as it is stored to a device: %v, want invalid", err)
	}
}

// Of a tar of several files, a directory gets all of them, once all are right; what
// was fetched of it before is not fetched twice.
func TestPullTarOfSeveralFiles(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	files := []string{"boards/boot.img", string(noise(1, 1<<20)), "boards/system.img", string(noise(2, 1<<20))}
	w.publishDisk("disk", diskFile{title: "boards", compression: "gzip", tar: true, content: tarOf(t, files...)}, diskFile{title: "notes.raw", content: []byte("notes")})
	want := map[string]string{files[0]: files[1], files[2]: files[3], "notes.raw": "notes"}
	dir := t.TempDir()
	result, err := w.interrupted(900_000, catalog.PullOptions{Dest: dir})
	if part := filepath.Join(dir, "boards.tar.part"); !errors.Is(err, context.Canceled) || result.Files[0].Part != part || len(result.Files[0].Members) > 0 {
		t.Fatalf("got %+v, %v, want that it was interrupted, and has %s", result.Files, err, part)
	}
	for name := range below(t, dir) {
		if filepath.Dir(name) != "." {
			t.Errorf("%s is there after an interruption", name)
		}
	}
	w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir}) })
	if err != nil || result.Files[0].Resumed != 900_000 || len(result.Files[0].Members) != 2 {
		t.Errorf("got %+v, %v, want that it went on", result.Files, err)
	}
	if diff := cmp.Diff(want, below(t, dir)); diff != "" {
		t.Error("the directory has other files than those of the tar")
	}
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir, Artifact: "boards"}); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("into where its files are: %v, want a conflict", err)
	}
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir, Force: true}); err != nil {
		t.Errorf("by force: %v", err)
	}
	file := filepath.Join(dir, "file")
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: file, Artifact: "boards"}); !errors.Is(err, catalog.ErrSeveral) {
		t.Errorf("into a file: %v, want that they are several", err)
	}
	for name := range below(t, dir) {
		if _, wanted := want[name]; !wanted {
			t.Errorf("there is %s as well", name)
		}
	}
}

// What is wrong with a tar, or with its bytes, leaves no file.
func TestPullHostileTars(t *testing.T) {
	w := newDiskWorld(t)
	link := func() []byte {
		var text bytes.Buffer
		tars := tar.NewWriter(&text)
		if err := tars.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}); err != nil {
			t.Fatal(err)
		}
		return text.Bytes()
	}
	right := tarOf(t, "a.img", "first", "b.img", "second")
	for name, files := range map[string][]diskFile{
		"out":         {{content: tarOf(t, "a.img", "x", "../b.img", "y")}},
		"hidden":      {{content: tarOf(t, ".bashrc", "x")}},
		"part":        {{content: tarOf(t, "a.img.part", "x")}},
		"link":        {{content: append(link(), tarOf(t, "a/b", "x")...)}},
		"cut":         {{content: right[:515]}},
		"size":        {{content: right, stated: int64(len(right)) - 512}},
		"twice":       {{content: tarOf(t, "a", "x", "A", "y")}},
		"another-has": {{content: right}, {title: "A.IMG", content: []byte("x")}},
		"both-have":   {{content: right}, {title: "other.tar", tar: true, content: tarOf(t, "b.img", "x")}},
	} {
		files[0].title, files[0].tar = "files.tar", true
		w.publishDisk(name, files...)
		dir := t.TempDir()
		result, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir})
		found := below(t, dir)
		for _, file := range result.Files { // that were right come before what is not
			for _, member := range file.Members {
				delete(found, filepath.Base(member.File))
			}
		}
		if !errors.Is(err, entry.ErrMalformed) || len(found) > 0 {
			t.Errorf("%s: %v, and %v is there, want malformed and nothing", name, err, slices.Collect(maps.Keys(found)))
		}
	}
	w.publishDisk("altered", diskFile{title: "files.tar", tar: true, content: right})
	altered := bytes.Clone(right)
	altered[1024+512] ^= 1 // in the second file: nothing but the digest tells
	w.storage.during(answering(altered), func() {
		dir := t.TempDir()
		if _, err := w.catalog.Pull(t.Context(), "altered", catalog.PullOptions{Dest: dir}); !errors.Is(err, entry.ErrMalformed) || len(below(t, dir)) > 0 {
			t.Errorf("altered bytes: %v, and %d files, want malformed and none", err, len(below(t, dir)))
		}
	})
}

// An Android sparse image in a tar is expanded, as it is elsewhere.
func TestPullSparseImageInATar(t *testing.T) {
	image := []byte("\x3a\xff\x26\xed\x01\x00\x00\x00\x1c\x00\x0c\x00\x00\x10\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\xc2\xca\x00\x00\x01\x00\x00\x00\x10\x00\x00\x00fill")
	want := strings.Repeat("fill", 1024)
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "files.tar", tar: true, format: "simg", content: tarOf(t, "system.simg", string(image), "flash.txt", "how")})
	w.publishDisk("one", diskFile{title: "one.tar", tar: true, format: "simg", content: tarOf(t, "system.simg", string(image))})
	w.publishDisk("two", diskFile{title: "two.tar", tar: true, format: "simg", content: tarOf(t, "system.simg", string(image), "system", "x")})
	dir := t.TempDir()
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"system": want, "flash.txt": "how"}, below(t, dir)); diff != "" {
		t.Error(diff)
	}
	file := filepath.Join(dir, "file")
	if _, err := w.catalog.Pull(t.Context(), "one", catalog.PullOptions{Dest: file}); err != nil || string(read(t, file)) != want {
		t.Errorf("the only file: %v, or other bytes", err)
	}
	if _, err := w.catalog.Pull(t.Context(), "two", catalog.PullOptions{Dest: t.TempDir()}); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("two of a name: %v, want malformed", err)
	}
}
