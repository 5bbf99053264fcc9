package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// chunk is one of a sparse image; where total is 0 it is what it should be.
type chunk struct {
	kind   uint16
	blocks uint32
	data   []byte
	total  uint32
}

// image writes a sparse image with blocks of 4 KiB.
func image(blocks uint32, chunks ...chunk) []byte {
	b := binary.LittleEndian.AppendUint32(nil, simgMagic)
	for _, half := range []uint16{1, 0, simgHeader, simgChunk} {
		b = binary.LittleEndian.AppendUint16(b, half)
	}
	for _, word := range []uint32{4096, blocks, uint32(len(chunks)), 0} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	for _, c := range chunks {
		if c.total == 0 {
			c.total = simgChunk + uint32(len(c.data))
		}
		b = binary.LittleEndian.AppendUint16(b, c.kind)
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint32(b, c.blocks)
		b = binary.LittleEndian.AppendUint32(b, c.total)
		b = append(b, c.data...)
	}
	return b
}

// withBlock changes the size of an image's blocks.
func withBlock(size uint32, image []byte) []byte {
	binary.LittleEndian.PutUint32(image[12:], size)
	return image
}

func TestExpand(t *testing.T) {
	raw := text()[200_000 : 200_000+8192]
	want := bytes.Join([][]byte{raw, bytes.Repeat([]byte("abcd"), 3*1024), make([]byte, 2*4096)}, nil)
	sum := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(want))
	chunks := []chunk{{chunkRaw, 2, raw, 0}, {chunkFill, 3, []byte("abcd"), 0}, {chunkDontCare, 2, nil, 0}, {chunkCRC32, 0, sum, 0}}
	good := image(7, chunks...)
	changed := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] ^= value
		return b
	}
	for name, tt := range map[string]struct {
		from []byte
		ok   bool
	}{
		"good":                     {good, true},
		"cut":                      {good[:len(good)-1], false},
		"cut in a chunk":           {good[:5000], false},
		"cut in the header":        {good[:20], false},
		"nothing":                  {nil, false},
		"followed":                 {append(bytes.Clone(good), 0), false},
		"another magic":            {changed(0, 1), false},
		"another version":          {changed(4, 2), false},
		"a short header":           {changed(8, 16), false},
		"a short chunk header":     {changed(10, 8), false},
		"blocks of no size":        {changed(13, 0x10), false},
		"blocks of 256 MiB":        {changed(15, 0x10), false},
		"more blocks than it says": {image(6, chunks...), false},
		"less blocks than it says": {image(8, chunks...), false},
		"another checksum":         {changed(len(good)-1, 1), false},
		"altered":                  {changed(100, 1), false},
		"an unknown chunk":         {image(1, chunk{0xcac9, 1, nil, 0}), false},
		"raw, too short":           {image(1, chunk{chunkRaw, 1, make([]byte, 4092), 0}), false},
		"a fill of 8 bytes":        {image(1, chunk{chunkFill, 1, make([]byte, 8), 0}), false},
		"a chunk of no length":     {image(1, chunk{chunkRaw, 1, nil, 3}), false},
		"blocks that overflow":     {image(5, chunk{chunkDontCare, 4, nil, 0}, chunk{chunkDontCare, 1<<32 - 1, nil, 0}), false},
		"sizes that overflow":      {withBlock(0xfffffffc, image(1<<32-1, chunk{chunkDontCare, 1<<32 - 1, nil, 0})), false},
	} {
		got, err := io.ReadAll(Expand(iotest.OneByteReader(bytes.NewReader(tt.from))))
		switch {
		case tt.ok && (err != nil || !bytes.Equal(got, want)):
			t.Errorf("%s: got %d bytes, %v, want the image", name, len(got), err)
		case !tt.ok && !errors.Is(err, entry.ErrMalformed):
			t.Errorf("%s: got %d bytes, %v, want a malformed one", name, len(got), err)
		}
	}
	own := errors.New("the line is cut")
	for _, at := range []int{0, 30, 5000, len(good)} {
		if _, err := io.ReadAll(Expand(io.MultiReader(bytes.NewReader(good[:at]), failing{own}))); err != own {
			t.Errorf("cut at %d: got %v, want the stream's own error", at, err)
		}
	}
}

// What Android's own tool makes of an image with holes is that image again.
func TestExpandWhatAndroidWrites(t *testing.T) {
	tool, err := exec.LookPath("img2simg")
	if err != nil {
		t.Skip("img2simg is not installed")
	}
	dir := t.TempDir()
	want := make([]byte, 1<<20)
	copy(want[100_000:], text()[200_000:300_000])
	copy(want[500_000:], bytes.Repeat([]byte{0xff}, 100_000))
	plain, packed := filepath.Join(dir, "raw"), filepath.Join(dir, "simg")
	if err := os.WriteFile(plain, want, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, plain, packed).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got, err := io.ReadAll(Expand(file)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want the image", len(got), err)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add(image(7, chunk{chunkRaw, 1, make([]byte, 4096), 0}, chunk{chunkFill, 3, []byte("abcd"), 0}, chunk{chunkDontCare, 3, nil, 0}))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := io.Copy(io.Discard, io.LimitReader(Expand(bytes.NewReader(content)), 1<<20)); err != nil && !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("got %v, want a malformed image", err)
		}
	})
}
