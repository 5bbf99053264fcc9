package blockdevice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

const mib = 1 << 20

// memory is a device in memory that notes what is done to it, in MiB.
type memory struct {
	info    Info
	content []byte
	log     []string
	zeroes  bool                     // it makes ranges zero by itself
	spoil   func(p []byte, at int64) // changes what is read; nil does not
	fail    string                   // the entry of the log that fails, once the device is begun
	unread  bool                     // it fails before, too
}

var errBroken = errors.New("input/output error")

func newMemory(size int) *memory {
	return &memory{info: Info{Path: "/dev/test", Name: "test", SizeBytes: int64(size)}, content: bytes.Repeat([]byte{'o'}, size)}
}

func (m *memory) note(format string, args ...any) error {
	entry := fmt.Sprintf(format, args...)
	if len(m.log) == 0 || m.log[len(m.log)-1] != entry {
		m.log = append(m.log, entry)
	}
	if entry == m.fail && (m.unread || slices.Contains(m.log, "zeros at 0")) {
		return errBroken
	}
	return nil
}

func (m *memory) Info() *Info { return &m.info }

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	what := "data"
	if bytes.Equal(p, make([]byte, len(p))) {
		what = "zeros"
	}
	if err := m.note("%s at %d", what, at/mib); err != nil {
		return 0, err
	}
	return copy(m.content[at:], p), nil
}

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	if err := m.note("read at %d", at/mib); err != nil {
		return 0, err
	}
	copy(p, m.content[at:])
	if m.spoil != nil {
		m.spoil(p, at)
	}
	return len(p), nil
}

func (m *memory) Zero(at, n int64) error {
	if err := m.note("zero at %d", at/mib); err != nil || !m.zeroes {
		return errors.Join(err, errors.ErrUnsupported)
	}
	clear(m.content[at : at+n])
	return nil
}

func (m *memory) Flush(_, _ int64) error { return nil }
func (m *memory) Sync() error            { return m.note("sync") }
func (m *memory) Drop() error            { return m.note("drop") }
func (m *memory) Reread() error          { return m.note("reread") }
func (m *memory) Close() error           { return m.note("close") }

// written writes content in pieces of a size that fits nothing.
func written(t *testing.T, w *Writer, content []byte) {
	t.Helper()
	for len(content) > 0 {
		n, err := w.Write(content[:min(len(content), 700_001)])
		if err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
}

// image is n MiB of content without zeros.
func image(n int) []byte { return bytes.Repeat([]byte("new!"), n*mib/4) }

func TestTheFirstMiBIsWrittenLast(t *testing.T) {
	t.Parallel()
	disk := newMemory(8 * mib)
	w := NewWriter(disk, Options{ReadBack: true})
	written(t, w, image(1))
	if len(disk.log) > 0 || w.Begun() {
		t.Errorf("the first MiB alone did %q to the device, want nothing", disk.log)
	}
	written(t, w, image(3))
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if reread, err := w.Close(); reread != nil || err != nil {
		t.Fatal(reread, err)
	}
	want := []string{
		"drop", "read at 0", // it can be read back
		"zeros at 0", "sync", "zeros at 7", "sync", // nothing to boot from
		"data at 1", "data at 2", "data at 3",
		"sync", "drop", "read at 1", "read at 2", "read at 3", // all of it is there
		"data at 0", "sync", "drop", "read at 0", "reread", "close",
	}
	if diff := cmp.Diff(want, disk.log); diff != "" {
		t.Errorf("what was done to the device (-want +got):\n%s", diff)
	}
	if !bytes.Equal(disk.content[:4*mib], image(4)) || !bytes.Equal(disk.content[4*mib:7*mib], bytes.Repeat([]byte{'o'}, 3*mib)) {
		t.Error("the device does not hold the image, and behind it what it held before")
	}
}

// A partition keeps its end: there is no copy of a table.
func TestAPartitionKeepsItsEnd(t *testing.T) {
	t.Parallel()
	disk := newMemory(8 * mib)
	disk.info.Partition = true
	w := NewWriter(disk, Options{})
	written(t, w, image(2))
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(disk.content[2*mib:], bytes.Repeat([]byte{'o'}, 6*mib)) {
		t.Error("what is behind the image was changed")
	}
}

func TestAnImageOfAFewBytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 511, mib - 1, mib, mib + 1} {
		disk := newMemory(8 * mib)
		w := NewWriter(disk, Options{ReadBack: true})
		written(t, w, image(2)[:size])
		if err := w.Commit(context.Background()); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(disk.content[:size], image(2)[:size]) {
			t.Errorf("%d bytes: the device does not hold them", size)
		}
		if _, err := w.Close(); err != nil || !slices.Contains(disk.log, "reread") || !bytes.Equal(disk.content[7*mib:], make([]byte, mib)) {
			t.Errorf("%d bytes: the end of the device is not zero, or its table was not read: %v, %q", size, err, disk.log)
		}
	}
}

// Whatever fails, and whenever, nothing boots from the device afterwards.
func TestAFailureLeavesNothingToBootFrom(t *testing.T) {
	t.Parallel()
	spoil := func(from int64) func([]byte, int64) {
		return func(p []byte, at int64) {
			if at <= from && from < at+int64(len(p)) {
				p[from-at] ^= 1
			}
		}
	}
	tests := []struct {
		name  string
		fail  string
		spoil func([]byte, int64)
		want  error
	}{
		{"data cannot be written", "data at 1", nil, errBroken},
		{"data cannot be read back", "read at 2", nil, errBroken},
		{"data cannot be written out", "drop", nil, errBroken},
		{"the first MiB is not read back", "read at 0", nil, errBroken},
		{"other data is read back", "", spoil(3*mib + 5), entry.ErrMalformed},
		{"other data is read back at the end", "", spoil(4*mib - 1), entry.ErrMalformed},
		{"another first MiB is read back", "", spoil(7), entry.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			disk := newMemory(8 * mib)
			disk.fail, disk.spoil = tt.fail, tt.spoil
			w := NewWriter(disk, Options{ReadBack: true})
			_, err := w.Write(image(4))
			if err == nil {
				err = w.Commit(context.Background())
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if !w.Begun() || !bytes.Equal(disk.content[:mib], make([]byte, mib)) {
				t.Error("the first MiB is not zero")
			}
		})
	}
}

// What cannot be read back is not written to.
func TestADeviceThatCannotBeReadBack(t *testing.T) {
	t.Parallel()
	disk := newMemory(8 * mib)
	disk.fail, disk.unread = "read at 0", true
	w := NewWriter(disk, Options{ReadBack: true})
	if _, err := w.Write(image(4)); !errors.Is(err, errBroken) || w.Begun() || !bytes.Equal(disk.content, bytes.Repeat([]byte{'o'}, 8*mib)) {
		t.Errorf("got %v, want that nothing was written", err)
	}
}

func TestAnInterruptionLeavesNothingToBootFrom(t *testing.T) {
	t.Parallel()
	for _, readBack := range []bool{false, true} {
		disk := newMemory(8 * mib)
		w := NewWriter(disk, Options{ReadBack: readBack})
		written(t, w, image(4))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.Commit(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if !bytes.Equal(disk.content[:mib], make([]byte, mib)) {
			t.Error("the first MiB is not zero")
		}
	}
}

// Of an image whose size is not known before, the device says when it is too long.
func TestADeviceThatIsTooSmall(t *testing.T) {
	t.Parallel()
	disk := newMemory(2*mib + 512)
	w := NewWriter(disk, Options{})
	written(t, w, image(2))
	_, err := w.Write(image(1))
	if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(fmt.Sprint(err), "/dev/test is too small: it has 2097664 bytes, and the image more") {
		t.Errorf("got %v, want a device that is too small", err)
	}
	if err := w.Skip(mib); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("skip: got %v, want a device that is too small", err)
	}
	written(t, w, image(1)[:512])
	if err := w.Commit(context.Background()); err != nil {
		t.Errorf("an image that just fits: %v", err)
	}
}

// Zeros are content: whoever makes them, they replace what was there.
func TestZerosReplaceWhatWasThere(t *testing.T) {
	t.Parallel()
	content := image(7)
	clear(content[mib/2 : mib+100])    // over the end of the first MiB
	clear(content[2*mib+1 : 4*mib+9])  // long
	clear(content[5*mib : 5*mib+8192]) // short
	clear(content[6*mib+4096:])        // up to the end
	for _, zeroes := range []bool{false, true} {
		disk := newMemory(8 * mib)
		disk.zeroes = zeroes
		w := NewWriter(disk, Options{ReadBack: true})
		written(t, w, content)
		if err := w.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(disk.content[:7*mib], content) {
			t.Errorf("with a device that makes zeros %v: it does not hold the image", zeroes)
		}
		if w.Left() != 0 {
			t.Errorf("%d bytes were left, want none", w.Left())
		}
	}
}

func TestWhatIsSkippedIsZeroOrLeft(t *testing.T) {
	t.Parallel()
	for _, zeroes := range []bool{false, true} {
		disk := newMemory(8 * mib)
		disk.zeroes = zeroes
		w := NewWriter(disk, Options{ReadBack: true})
		written(t, w, image(1)[:mib/2])
		if err := w.Skip(mib); err != nil { // over the end of the first MiB
			t.Fatal(err)
		}
		written(t, w, image(1)[:mib/2])
		if err := w.Skip(2 * mib); err != nil {
			t.Fatal(err)
		}
		written(t, w, image(2))
		if err := w.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		old, left := byte('o'), int64(2*mib+mib/2)
		if zeroes {
			old, left = 0, mib/2 // too little to ask the device
		}
		want := append(image(1)[:mib/2:mib/2], make([]byte, mib/2)...)
		want = append(want, bytes.Repeat([]byte{'o'}, mib/2)...)
		want = append(want, image(1)[:mib/2]...)
		want = append(want, bytes.Repeat([]byte{old}, 2*mib)...)
		want = append(want, image(2)...)
		if !bytes.Equal(disk.content[:6*mib], want) {
			t.Errorf("with a device that makes zeros %v: it holds something else", zeroes)
		}
		if w.Left() != left {
			t.Errorf("with a device that makes zeros %v: %d bytes were left, want %d", zeroes, w.Left(), left)
		}
	}
}

// What was written and was not right is written over, and so are zeros where it had
// something.
func TestRestart(t *testing.T) {
	t.Parallel()
	disk := newMemory(16 * mib)
	w := NewWriter(disk, Options{ReadBack: true})
	written(t, w, bytes.Repeat([]byte("lie!"), 9*mib/4))
	if err := w.Skip(2 * mib); err != nil {
		t.Fatal(err)
	}
	if err := w.Restart(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(disk.content[:mib], make([]byte, mib)) {
		t.Error("after what was not right, the first MiB is not zero")
	}
	want := slices.Concat(image(2), make([]byte, 3*mib), image(1), make([]byte, 4*mib))
	written(t, w, want)
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(disk.content[:len(want)], want) || w.Left() != 0 {
		t.Errorf("the device holds something else than what was written last, or %d bytes are left", w.Left())
	}
}
