package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testcompress"
	"github.com/oci-catalog/caib/pkg/entry"
)

// text is some content, of which a part is the same again and a part is noise.
func text() []byte {
	content := bytes.Repeat([]byte("caib "), 100_000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(content[200_000:300_000]) // never fails
	return content
}

// packed is content as the real tool of a compression writes it; where that is not
// installed, as a library does.
func packed(t *testing.T, compression string, content []byte, args ...string) []byte {
	t.Helper()
	if tool, err := exec.LookPath(compression); err == nil {
		command := exec.Command(tool, append(args, "-c")...)
		command.Stdin = bytes.NewReader(content)
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%v: %v", command, err)
		}
		return out
	}
	if compression == "xz" {
		t.Skip("xz is not installed")
	}
	return testcompress.Bytes(t, compression, content)
}

func unpackAll(compression string, from io.Reader) ([]byte, error) {
	content, err := New(compression, from)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

func TestNew(t *testing.T) {
	want := text()
	for _, compression := range []string{"gzip", "xz", "zstd", "lz4"} {
		t.Run(compression, func(t *testing.T) {
			whole := packed(t, compression, want)
			for name, tt := range map[string]struct {
				from []byte
				want []byte
				bad  bool
			}{
				"whole":      {whole, want, false},
				"two":        {append(bytes.Clone(whole), whole...), append(bytes.Clone(want), want...), false},
				"cut":        {whole[:len(whole)/2], nil, true},
				"cut at end": {whole[:len(whole)-1], nil, true},
				"altered":    {altered(whole), nil, true},
				"more":       {append(bytes.Clone(whole), "more that is none"...), nil, true},
				"none of it": {[]byte(strings.Repeat("something else ", 100)), nil, true},
			} {
				got, err := unpackAll(compression, bytes.NewReader(tt.from))
				switch {
				case tt.bad && !errors.Is(err, entry.ErrMalformed):
					t.Errorf("%s: got %d bytes and error %v, want a malformed one", name, len(got), err)
				case !tt.bad && (err != nil || !bytes.Equal(got, tt.want)):
					t.Errorf("%s: got %d bytes and error %v, want the content", name, len(got), err)
				}
			}
		})
	}
	if got, err := unpackAll("", bytes.NewReader(want)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("no compression: got %d bytes and error %v, want them as they are", len(got), err)
	}
	if _, err := unpackAll("bzip2", bytes.NewReader(want)); !errors.Is(err, entry.ErrMalformed) || Supports("bzip2") {
		t.Errorf("bzip2: got error %v, want a malformed one", err)
	}
}

// altered is content with a changed byte in the middle of the noise.
func altered(content []byte) []byte {
	content = bytes.Clone(content)
	content[len(content)/2] ^= 0x10
	return content
}

// How the stream itself ends decides, not what a decompressor makes of it.
func TestErrorsOfTheStream(t *testing.T) {
	own := errors.New("the line is cut")
	for _, compression := range []string{"", "gzip", "xz", "zstd", "lz4"} {
		whole := text()
		if compression != "" {
			whole = packed(t, compression, whole)
		}
		for _, at := range []int{0, 1, len(whole) / 2, len(whole)} {
			from := io.MultiReader(bytes.NewReader(whole[:at]), failing{own})
			if _, err := unpackAll(compression, from); err != own {
				t.Errorf("%q, cut at %d: got %v, want the stream's own error", compression, at, err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A stream may ask for so much memory and no more.
func TestWindowsAreBounded(t *testing.T) {
	const most = MaxWindow
	small, big := packed(t, "xz", []byte("content"), "--lzma2=dict=128MiB"), packed(t, "xz", []byte("content"), "--lzma2=dict=192MiB")
	if got, err := unpackAll("xz", bytes.NewReader(small)); err != nil || string(got) != "content" {
		t.Errorf("xz with %d bytes: got %q, %v", most, got, err)
	}
	if _, err := unpackAll("xz", bytes.NewReader(big)); !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "window of more than 128 MiB") {
		t.Errorf("xz with 192 MiB: got %v, want that the window is too large", err)
	}
	// A frame header with a window descriptor (RFC 8878, section 3.1.1.1.2): an
	// exponent of 18 is 256 MiB.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 0x01, 0x00, 0x00}
	if _, err := unpackAll("zstd", bytes.NewReader(frame)); !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "window of more than 128 MiB") {
		t.Errorf("zstd with 256 MiB: got %v, want that the window is too large", err)
	}
	frame[5] = 17 << 3
	if _, err := unpackAll("zstd", bytes.NewReader(frame)); err != nil {
		t.Errorf("zstd with 128 MiB: got %v, want an empty content", err)
	}
}

// A decompressor that ends before its stream does not end it.
func TestTheStreamIsReadToItsEnd(t *testing.T) {
	own := errors.New("the line is cut")
	for _, tt := range []struct {
		rest io.Reader
		want error
	}{{strings.NewReader(""), nil}, {strings.NewReader("more"), entry.ErrMalformed}, {failing{own}, own}} {
		source := &source{from: tt.rest}
		u := &unpacked{source: source, rest: bufio.NewReader(source), content: strings.NewReader("content")}
		if _, err := io.ReadAll(u); !errors.Is(err, tt.want) {
			t.Errorf("got %v, want %v", err, tt.want)
		}
	}
}

// A header of xz that says a dictionary of 4 GiB costs nothing.
func TestHugeDictionary(t *testing.T) {
	whole := packed(t, "xz", []byte("content"))
	block := bytes.Clone(whole)
	header := block[12:]
	size := (int(header[0]) + 1) * 4
	i := bytes.IndexByte(header[:size], 0x21) // the filter LZMA2, its properties' size, and its dictionary
	if i < 0 {
		t.Fatalf("no LZMA2 filter in the header %x", header[:size])
	}
	header[i+2] = 40
	binary.LittleEndian.PutUint32(header[size-4:], crc32.ChecksumIEEE(header[:size-4]))
	if _, err := unpackAll("xz", bytes.NewReader(block)); !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "window") {
		t.Errorf("got %v, want that the window is too large", err)
	}
}

func TestTitle(t *testing.T) {
	for _, tt := range []struct{ title, compression, want string }{
		{"disk.raw.gz", "gzip", "disk.raw"}, {"disk.raw.GZ", "gzip", "disk.raw"}, {"disk.raw.xz", "gzip", "disk.raw.xz"},
		{"disk.raw", "gzip", "disk.raw"}, {".gz", "gzip", ".gz"}, {"a.zst", "zstd", "a"}, {"a.zstd", "zstd", "a"},
		{"a.lz4", "lz4", "a"}, {"a.xz", "xz", "a"}, {"a.gz", "", "a.gz"},
	} {
		if got := Title(tt.title, tt.compression); got != tt.want {
			t.Errorf("Title(%q, %q) = %q, want %q", tt.title, tt.compression, got, tt.want)
		}
	}
}

func FuzzNew(f *testing.F) {
	for _, compression := range []string{"gzip", "xz", "zstd", "lz4"} {
		f.Add(compression, []byte("something else"))
	}
	f.Fuzz(func(t *testing.T, compression string, content []byte) {
		reader, err := New(compression, bytes.NewReader(content))
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(reader, 1<<20))
			reader.Close()
		}
		if err != nil && !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("got %v, want a malformed stream", err)
		}
	})
}
