package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// dotted has names refused that begin with a dot, as whoever writes them would.
func dotted(name string) string {
	if name == "" || name[0] == '.' {
		return "it is hidden"
	}
	return ""
}

// readTar returns what is in a tar, by name.
func readTar(from io.Reader, most int64) (map[string]string, error) {
	files, found := NewTar(from, most, dotted), map[string]string{}
	for {
		name, err := files.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return found, err
		}
		found[name] = string(content)
	}
}

// gnuTar makes a tar of a directory by GNU tar.
func gnuTar(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	var text, said bytes.Buffer
	command := exec.Command("tar", append([]string{"-C", dir}, args...)...)
	command.Stdout, command.Stderr = &text, &said
	if err := command.Run(); err != nil {
		t.Fatalf("tar: %v: %s", err, said.Bytes())
	}
	return text.Bytes()
}

// hasTar skips a test where there is no GNU tar.
func hasTar(t *testing.T) {
	t.Helper()
	if text, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(text, []byte("GNU")) {
		t.Skip("there is no GNU tar here")
	}
}

// writeHoles writes a file that has holes where its content is zero.
func writeHoles(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(len(content))); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, piece := range strings.SplitAfter(content, "\x00") {
		if text := strings.TrimSuffix(piece, "\x00"); text != "" {
			if _, err := file.WriteAt([]byte(text), at); err != nil {
				t.Fatal(err)
			}
		}
		at += int64(len(piece))
	}
}

func TestTarsOfGNU(t *testing.T) {
	hasTar(t)
	dir := t.TempDir()
	deep := filepath.Join("images", strings.Repeat("long-", 15), strings.Repeat("name-", 20))
	want := map[string]string{
		"boot.img":                   strings.Repeat("boot", 1000),
		"images/empty.img":           "",
		filepath.ToSlash(deep) + "x": "deep",
		"images/holes.img":           "a" + strings.Repeat("\x00", 1<<20) + "b" + strings.Repeat("\x00", 1<<20),
	}
	for name, content := range want {
		writeHoles(t, filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	for _, args := range [][]string{
		{"--format=gnu"}, {"--format=pax"}, {"--format=gnu", "--sparse"}, {"--format=pax", "--sparse", "--sparse-version=0.0"},
		{"--format=pax", "--sparse", "--sparse-version=0.1"}, {"--format=pax", "--sparse", "--sparse-version=1.0"}, {"-b", "1"},
	} {
		for _, what := range [][]string{{"."}, {"boot.img", "images"}} {
			text := gnuTar(t, dir, append(append([]string{"-cf", "-"}, args...), what...)...)
			got, err := readTar(iotest.HalfReader(bytes.NewReader(text)), 4<<20)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v %v: %v\n%s", args, what, err, diff)
			}
		}
	}
	text := gnuTar(t, dir, "-cf", "-", "boot.img")
	if got, err := io.ReadAll(Only(bytes.NewReader(text), 4000)); err != nil || string(got) != want["boot.img"] {
		t.Errorf("the only file: %d bytes, %v", len(got), err)
	}
	text = gnuTar(t, dir, "--format=pax", "--sparse", "-cf", "-", "images/holes.img")
	if got, err := io.ReadAll(Only(bytes.NewReader(text), 3<<20)); err != nil || string(got) != want["images/holes.img"] {
		t.Errorf("the only file, with holes: %d bytes, %v", len(got), err)
	}
	if _, err := io.ReadAll(Only(bytes.NewReader(text), 1<<20)); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("holes of more than there is room for: %v, want malformed", err)
	}
}

// made is a tar of headers, each with as much content as it says.
func made(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, header := range headers {
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, header.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func regular(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 10, Mode: 0o644}
}

func TestHostileTars(t *testing.T) {
	many := make([]tar.Header, maxMembers+1)
	for n := range many {
		many[n] = tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("f", n)}
	}
	whole := made(t, regular("a"), regular("b"))
	spoiled := bytes.Clone(whole)
	spoiled[1024+150] ^= 1 // the checksum of the second header
	for name, text := range map[string][]byte{
		"an absolute name":       made(t, regular("/a")),
		"one that leads out":     made(t, regular("../a")),
		"one that does further":  made(t, regular("a/../../b")),
		"one that does below":    made(t, regular("./../a")),
		"a hidden one":           made(t, regular("a/.b")),
		"two slashes":            made(t, regular("a//b")),
		"one that is too long":   made(t, regular(strings.Repeat("a/", 600)+"b")),
		"two of a name":          made(t, regular("a"), regular("./a")),
		"two of a name in case":  made(t, regular("a/b"), regular("A/B")),
		"a file in a file":       made(t, regular("a"), regular("a/b")),
		"a file above a file":    made(t, regular("a/b"), regular("a")),
		"a symbolic link":        made(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc/passwd"}),
		"a link":                 made(t, regular("a"), tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}),
		"a device":               made(t, tar.Header{Typeflag: tar.TypeBlock, Name: "a", Devmajor: 8}),
		"a pipe":                 made(t, tar.Header{Typeflag: tar.TypeFifo, Name: "a"}),
		"more than it may have":  made(t, regular("a"), regular("b"), regular("c")),
		"too many":               made(t, many...),
		"a header that is wrong": spoiled,
		"cut in a file":          whole[:515],
		"cut in a header":        whole[:1100],
		"no tar":                 bytes.Repeat([]byte("no tar"), 1000),
		"nothing":                {},
		"zeros":                  make([]byte, 10240),
	} {
		if found, err := readTar(bytes.NewReader(text), 25); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("%s: %v with %v, want malformed", name, err, found)
		}
	}
	for name, tt := range map[string]struct {
		text []byte
		want error
	}{
		"several files":   {whole, ErrSeveral},
		"no file":         {made(t, tar.Header{Typeflag: tar.TypeDir, Name: "a/"}), entry.ErrMalformed},
		"a symbolic link": {made(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b"}), entry.ErrMalformed},
		"one, and a link": {made(t, regular("a"), tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}), entry.ErrMalformed},
	} {
		if _, err := io.ReadAll(Only(bytes.NewReader(tt.text), 25)); !errors.Is(err, tt.want) {
			t.Errorf("the only file of %s: %v, want %v", name, err, tt.want)
		}
	}
}

// What breaks a stream is told as it is, wherever it breaks.
func TestBrokenTars(t *testing.T) {
	text := made(t, regular("a"), regular("b"))
	broken := errors.New("broken")
	for at := range len(text) {
		from := func() io.Reader { return io.MultiReader(bytes.NewReader(text[:at]), iotest.ErrReader(broken)) }
		if _, err := readTar(from(), 25); !errors.Is(err, broken) {
			t.Errorf("at %d: %v, want its own error", at, err)
		}
	}
	if _, err := io.ReadAll(Only(io.MultiReader(bytes.NewReader(made(t, regular("a"))), iotest.ErrReader(broken)), 25)); !errors.Is(err, broken) {
		t.Errorf("behind the end: %v, want its own error", err)
	}
}

func TestIsTar(t *testing.T) {
	for mediaType, want := range map[string]bool{
		tarType: true, tarType + "+gzip": true, tarType + "mac": false, "application/vnd.automotive.disk.raw+gzip": false, "": false,
	} {
		if got := IsTar(mediaType); got != want {
			t.Errorf("%q: %t, want %t", mediaType, got, want)
		}
	}
}
