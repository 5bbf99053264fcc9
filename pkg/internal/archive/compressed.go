package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/SaveTheRbtz/zstd-seekable-format-go/pkg/framecache"
	"github.com/klauspost/compress/zstd"
)

// A compressed archive is a zstd file in the seekable format, of frames of frameSize,
// followed by a skippable frame with the SHA-256 of all bytes before it.
const (
	frameSize   = 1 << 20
	sumSize     = 8 + sha256.Size
	sumMagic    = 0x184D2A5C // a skippable frame; that of the seek table is 0x184D2A5E
	zstdMagic   = 0xFD2FB528
	cachedCount = 16 // decoded frames, for as many readers at once
)

// compressor compresses an archive.
type compressor struct {
	to      io.Writer
	hash    hash.Hash
	encoder *zstd.Encoder
	frames  *seekable.Writer
	frame   []byte
}

func newCompressor(to io.Writer) (*compressor, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	c := &compressor{to: to, hash: sha256.New(), encoder: encoder, frame: make([]byte, 0, frameSize)}
	c.frames, err = seekable.NewWriter(io.MultiWriter(to, c.hash), encoder)
	return c, err
}

func (c *compressor) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), frameSize-len(c.frame))
		c.frame, p = append(c.frame, p[:n]...), p[n:]
		if len(c.frame) == frameSize {
			if err := c.flush(); err != nil {
				return written, err
			}
		}
		written += n
	}
	return written, nil
}

func (c *compressor) flush() error {
	_, err := c.frames.Write(c.frame)
	c.frame = c.frame[:0]
	return err
}

// Close writes what is left, the seek table and the sum.
func (c *compressor) Close() error {
	if err := errors.Join(c.flush(), c.frames.Close(), c.encoder.Close()); err != nil {
		return err
	}
	_, err := c.to.Write(sumFrame(c.hash))
	return err
}

func sumFrame(hash hash.Hash) []byte {
	frame := binary.LittleEndian.AppendUint32(nil, sumMagic)
	frame = binary.LittleEndian.AppendUint32(frame, sha256.Size)
	return hash.Sum(frame)
}

// decompressed returns the tar of a compressed archive, after all bytes of the file
// were checked; a tar as it is.
func decompressed(ctx context.Context, at io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	magic := make([]byte, 4)
	if n, err := at.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	} else if n < len(magic) || binary.LittleEndian.Uint32(magic) != zstdMagic {
		return at, size, nil
	}
	if size < sumSize {
		return nil, 0, altered("it has %d bytes", size)
	}
	sum := make([]byte, sumSize)
	if _, err := at.ReadAt(sum, size-sumSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	hash := sha256.New()
	if n, err := io.Copy(hash, &interruptible{ctx, io.NewSectionReader(at, 0, size-sumSize)}); err != nil {
		return nil, 0, err
	} else if n != size-sumSize || !bytes.Equal(sum, sumFrame(hash)) {
		return nil, 0, altered("the sum at its end is not that of its bytes")
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(frameSize))
	if err != nil {
		return nil, 0, err
	}
	frames := io.NewSectionReader(at, 0, size-sumSize)
	opened, err := seekable.NewReader(frames, decoder, seekable.WithReaderFrameCache(framecache.NewLRU(framecache.Limits{MaxFrames: cachedCount})))
	if err != nil {
		return nil, 0, altered("%v", err)
	}
	table, err := opened.SeekTable()
	if err == nil {
		err = checkFrames(table, frames.Size())
	}
	if err != nil {
		return nil, 0, err
	}
	return &tarFrames{opened}, int64(table.Size()), nil
}

// checkFrames checks that frames are as large as a writer makes them, so that a small
// file does not become a large one in memory, and that they are all there is.
func checkFrames(table seekable.SeekTable, size int64) error {
	const entrySize, around = 12, 8 + 9 // with a checksum; header and footer of the table
	end := uint64(0)
	for id := range table.NumFrames() {
		frame, _ := table.EntryByID(id)
		if last := id == table.NumFrames()-1; frame.CompressedSize > 2*frameSize || frame.DecompressedSize > frameSize || !last && frame.DecompressedSize != frameSize {
			return altered("frame %d takes %d bytes, and is of %d", id, frame.CompressedSize, frame.DecompressedSize)
		}
		end = frame.CompressedOffset + uint64(frame.CompressedSize)
	}
	if !table.HasChecksums() || end+uint64(table.NumFrames()*entrySize+around) != uint64(size) {
		return altered("its frames take %d bytes", end)
	}
	return nil
}

// tarFrames gives the errors of frames their kind.
type tarFrames struct{ frames *seekable.Reader }

func (t *tarFrames) ReadAt(p []byte, off int64) (int, error) {
	n, err := t.frames.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = altered("%v", err)
	}
	return n, err
}
