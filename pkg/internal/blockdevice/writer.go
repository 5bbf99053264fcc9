package blockdevice

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/zero"
)

// Disk is a device that is open, and nobody else's.
type Disk interface {
	Info() *Info
	io.WriterAt
	// ReadAt reads what is on the device, and not what is in the cache.
	io.ReaderAt
	// Zero makes a range zero, or is an errors.ErrUnsupported.
	Zero(at, n int64) error
	// Flush begins to write out a range. It is the next one, as long as the one before.
	Flush(at, n int64) error
	Sync() error   // writes out everything
	Drop() error   // empties the cache
	Reread() error // reads the partition table again
	Close() error
}

const (
	headSize   = 1 << 20 // what is written last
	leastZero  = 1 << 20 // fewer zeros are written as others are
	flushEvery = 8 << 20
)

var zeros [64 << 10]byte

// Options say how a device is written to.
type Options struct {
	ReadBack bool // Commit reads what was written
	// Progress is told how many bytes were read back, of how many; nil is nobody.
	Progress func(read, size int64)
}

// Writer writes an image to a device. Nothing happens to the device before there is
// more than its first MiB.
type Writer struct {
	disk    Disk
	options Options
	size    int64 // of the device
	head    []byte
	at      int64
	begun   bool
	zero    int64 // where the zeros begin that are written when they end
	flushed int64
	cannot  bool // the device makes nothing zero by itself
	left    int64
	written []extent  // behind the head
	sum     hash.Hash // of what is in them
}

// extent is a range, from its first byte to the one behind its last.
type extent struct{ from, to int64 }

// NewWriter returns a writer to a device, which it closes.
func NewWriter(disk Disk, options Options) *Writer {
	return &Writer{disk: disk, options: options, size: disk.Info().SizeBytes, zero: headSize, flushed: headSize, sum: sha256.New()}
}

// Restart goes back to the beginning: what was written was not right. The first MiB of
// the device is zero, if it was begun.
func (w *Writer) Restart() error {
	w.head, w.at, w.left, w.written = w.head[:0], 0, 0, nil
	w.zero, w.flushed = headSize, headSize
	w.sum.Reset()
	return nil
}

// Left is how many bytes were skipped, and hold what they held before.
func (w *Writer) Left() int64 { return w.left }

// Write writes the next bytes. More than the device has are an entry.ErrNoRoom.
func (w *Writer) Write(p []byte) (written int, err error) {
	if err := w.room(int64(len(p))); err != nil {
		return 0, err
	}
	if n := min(headSize-len(w.head), len(p)); n > 0 {
		w.head = append(w.head, p[:n]...)
		w.at += int64(n)
		written = n
	}
	if written == len(p) {
		return written, nil
	}
	if err := w.begin(); err != nil {
		return written, err
	}
	if w.options.ReadBack {
		w.sum.Write(p[written:])
	}
	w.extend(w.at + int64(len(p)-written))
	for written < len(p) {
		isZero, n := zero.Run(p[written:], w.at)
		if !isZero {
			err = w.endZeros()
			if err == nil {
				_, err = w.disk.WriteAt(p[written:written+n], w.at)
			}
			w.zero = w.at + int64(n)
		}
		if err != nil {
			return written, err
		}
		w.at += int64(n)
		written += n
	}
	return written, w.flush()
}

// room reports that the device has less than n more bytes.
func (w *Writer) room(n int64) error {
	if n > w.size-w.at {
		return refuse(w.disk.Info().Path, entry.ErrNoRoom, "is too small: it has %d bytes, and the image more", w.size)
	}
	return nil
}

// extend notes that all from the writer's place up to an offset is written.
func (w *Writer) extend(to int64) {
	if n := len(w.written); n > 0 && w.written[n-1].to == w.at {
		w.written[n-1].to = to
		return
	}
	w.written = append(w.written, extent{w.at, to})
}

// endZeros writes the zeros that end at the writer's place.
func (w *Writer) endZeros() error {
	from, to := w.zero, w.at
	w.zero = to
	return w.writeZeros(from, to)
}

func (w *Writer) writeZeros(from, to int64) error {
	if done, err := w.punch(from, to); done || err != nil {
		return err
	}
	for from < to {
		n, err := w.disk.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// punch reports whether the device made a range zero by itself.
func (w *Writer) punch(from, to int64) (done bool, err error) {
	if w.cannot || to-from < leastZero || from%zero.Block != 0 || to%zero.Block != 0 {
		return false, nil
	}
	err = w.disk.Zero(from, to-from)
	if errors.Is(err, errors.ErrUnsupported) {
		w.cannot = true
		return false, nil
	}
	return err == nil, err
}

// Skip goes on behind the next n bytes, which hold nothing: zeros where the device
// makes them by itself, and in the first MiB; elsewhere what was there is left.
func (w *Writer) Skip(n int64) error {
	if err := w.room(n); err != nil {
		return err
	}
	if within := min(headSize-int64(len(w.head)), n); within > 0 {
		w.head = append(w.head, make([]byte, within)...)
		w.at += within
		n -= within
	}
	if n == 0 {
		return nil
	}
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.endZeros(); err != nil {
		return err
	}
	done, err := w.punch(w.at, w.at+n)
	if !done {
		w.left += n
	}
	w.at += n
	w.zero = w.at
	return err
}

// flush has the device begin with what was written since.
func (w *Writer) flush() error {
	for w.zero-w.flushed >= flushEvery {
		if err := w.disk.Flush(w.flushed, flushEvery); err != nil {
			return err
		}
		w.flushed += flushEvery
	}
	return nil
}

// begin makes the first MiB zero on the device, and the last one of a whole disk.
func (w *Writer) begin() error {
	if w.begun {
		return nil
	}
	if w.options.ReadBack { // what cannot be read back is known before anything is lost
		err := w.disk.Drop()
		if err == nil {
			_, err = w.disk.ReadAt(make([]byte, min(headSize, w.size)), 0)
		}
		if err != nil {
			return err
		}
	}
	w.begun = true
	err := w.blank()
	if end := w.size - headSize; err == nil && end > headSize && !w.disk.Info().Partition {
		if _, err = w.disk.WriteAt(make([]byte, headSize), end); err == nil {
			err = w.disk.Sync()
		}
	}
	return err
}

// blank makes the first MiB zero on the device.
func (w *Writer) blank() error {
	_, err := w.disk.WriteAt(make([]byte, min(headSize, w.size)), 0)
	if err == nil {
		err = w.disk.Sync()
	}
	return err
}

// Commit writes the first MiB, once the rest is on the device. It is to be called
// when what was written is known to be right. What is read back and is not what was
// written is an entry.ErrMalformed. After an error, the first MiB is zero as far as
// the device can be written to.
func (w *Writer) Commit(ctx context.Context) (err error) {
	err = w.begin()
	if err == nil {
		err = w.endZeros()
	}
	if err == nil {
		err = w.settle()
	}
	if err == nil && w.options.ReadBack {
		err = w.compare(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if _, err = w.disk.WriteAt(w.head, 0); err == nil {
		err = w.settle()
	}
	if err == nil && w.options.ReadBack {
		found := make([]byte, len(w.head))
		if _, err = w.disk.ReadAt(found, 0); err == nil && !bytes.Equal(found, w.head) {
			err = w.differs()
		}
	}
	if err != nil {
		return errors.Join(err, w.blank())
	}
	return nil
}

// settle has all on the device, and nothing in the cache.
func (w *Writer) settle() error {
	if err := w.disk.Sync(); err != nil {
		return fmt.Errorf("write out %s: %w", w.disk.Info().Path, err)
	}
	return w.disk.Drop()
}

func (w *Writer) differs() error {
	return refuse(w.disk.Info().Path, entry.ErrMalformed, "holds something else than what was written to it")
}

// compare reads what was written behind the first MiB.
func (w *Writer) compare(ctx context.Context) error {
	sum, buffer := sha256.New(), make([]byte, headSize)
	done, size := int64(0), int64(0)
	for _, e := range w.written {
		size += e.to - e.from
	}
	for _, e := range w.written {
		for at := e.from; at < e.to; {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := buffer[:min(int64(len(buffer)), e.to-at)]
			if _, err := w.disk.ReadAt(p, at); err != nil {
				return fmt.Errorf("read back %s: %w", w.disk.Info().Path, err)
			}
			sum.Write(p)
			at += int64(len(p))
			done += int64(len(p))
			if w.options.Progress != nil {
				w.options.Progress(done, size)
			}
		}
	}
	if !bytes.Equal(sum.Sum(nil), w.sum.Sum(nil)) {
		return w.differs()
	}
	return nil
}

// Begun reports whether the device is no longer what it was.
func (w *Writer) Begun() bool { return w.begun }

// Close closes the device, after the kernel has read its partition table again. That
// it did not is what reread says.
func (w *Writer) Close() (reread, err error) {
	if w.begun {
		reread = w.disk.Reread()
	}
	return reread, w.disk.Close()
}
