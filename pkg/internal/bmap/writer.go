package bmap

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/oci-catalog/caib/pkg/internal/zero"
)

// Skipper is a writer that can go on behind bytes that hold nothing.
type Skipper interface {
	io.Writer
	Skip(n int64) error
}

// Writer checks an image against its map while it is written: what is mapped by its
// digest, and the rest for being zero.
type Writer struct {
	m       *Map
	to      io.Writer
	at      int64
	next    int   // the range that is written, or comes next
	skipped int64 // bytes before at that To was not told of yet
	sum     hash.Hash
}

// NewWriter returns a writer of the image to another one, which skips what is not
// mapped if it is a Skipper. End tells whether all was right.
func (m *Map) NewWriter(to io.Writer) *Writer {
	return &Writer{m: m, to: to, sum: sha256.New()}
}

// Write writes the next bytes. Those that the map knows otherwise are an
// ErrMalformed: of a range, when it ends.
func (w *Writer) Write(p []byte) (written int, err error) {
	for written < len(p) {
		n := 0
		if w.next < len(w.m.ranges) && w.at >= w.m.ranges[w.next].from {
			n, err = w.mapped(p[written:])
		} else {
			n, err = w.unmapped(p[written:])
		}
		written += n
		w.at += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// mapped writes what is in the next range.
func (w *Writer) mapped(p []byte) (int, error) {
	if err := w.skip(); err != nil {
		return 0, err
	}
	r := w.m.ranges[w.next]
	p = p[:min(int64(len(p)), r.to-w.at)]
	n, err := w.to.Write(p)
	if err != nil {
		return n, err
	}
	w.sum.Write(p)
	if w.at+int64(n) < r.to {
		return n, nil
	}
	if !bytes.Equal(w.sum.Sum(nil), r.sum[:]) {
		return n, fmt.Errorf("%w: the bytes from %d to %d are not those of its bmap", ErrMalformed, r.from, r.to)
	}
	w.sum.Reset()
	w.next++
	return n, nil
}

// unmapped writes, or skips, what is before the next range.
func (w *Writer) unmapped(p []byte) (int, error) {
	end := w.m.size
	if w.next < len(w.m.ranges) {
		end = w.m.ranges[w.next].from
	}
	if w.at == end {
		return 0, fmt.Errorf("%w: it is longer than the %d bytes of its bmap", ErrMalformed, end)
	}
	p = p[:min(int64(len(p)), end-w.at)]
	if !zero.All(p) {
		return 0, fmt.Errorf("%w: it has content between %d and %d, where its bmap has none", ErrMalformed, w.at, w.at+int64(len(p)))
	}
	if _, skips := w.to.(Skipper); skips {
		w.skipped += int64(len(p))
		return len(p), nil
	}
	return w.to.Write(p)
}

// skip tells of what was skipped, in one piece.
func (w *Writer) skip() error {
	n := w.skipped
	if w.skipped = 0; n == 0 {
		return nil
	}
	return w.to.(Skipper).Skip(n)
}

// End reports what the map has and was not written. It is to be called when nothing
// more comes.
func (w *Writer) End() error {
	if w.at != w.m.size {
		return fmt.Errorf("%w: it has %d bytes, and its bmap %d", ErrMalformed, w.at, w.m.size)
	}
	return w.skip()
}
