package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Android's sparse images, as libsparse writes them (system/core/libsparse,
// sparse_format.h): a header, and chunks of blocks, all little-endian.
const (
	simgMagic  = 0xed26ff3a
	simgHeader = 28 // bytes, or more
	simgChunk  = 12
	simgBlock  = 64 << 20 // the longest block believed, in bytes

	chunkRaw      = 0xcac1
	chunkFill     = 0xcac2
	chunkDontCare = 0xcac3
	chunkCRC32    = 0xcac4
)

// Expand returns what a sparse image stands for. What is none is an
// entry.ErrMalformed when it is read; errors of the stream are returned as they are.
// Whoever reads it reads to the end.
func Expand(from io.Reader) io.Reader { return &sparse{from: from} }

type sparse struct {
	from   io.Reader
	begun  bool
	header struct {
		fileHeader, chunkHeader int64
		block                   int64
		blocks, chunks          uint32
	}
	chunks, blocks uint32 // that were read
	left           int64  // bytes of the chunk that are not read yet
	fill           []byte // what they repeat; nil is bytes of the stream
	crc            uint32
	err            error
}

func (s *sparse) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, s.err
	}
	for s.err == nil && s.left == 0 {
		s.err = s.next()
	}
	if s.err != nil {
		return 0, s.err
	}
	n := int(min(int64(len(p)), s.left))
	if s.fill != nil {
		fillWith(p[:n], s.fill)
		s.fill = slices.Concat(s.fill[n%4:], s.fill[:n%4]) // where the next read begins
	} else if n, s.err = s.from.Read(p[:n]); errors.Is(s.err, io.EOF) && int64(n) < s.left {
		s.err = errCut
	} else if errors.Is(s.err, io.EOF) {
		s.err = nil // the next look at the stream says so again
	}
	s.left -= int64(n)
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
	return n, s.err
}

// fillWith repeats a pattern.
func fillWith(p, pattern []byte) {
	for n := copy(p, pattern); n < len(p); {
		n += copy(p[n:], p[:n])
	}
}

var errCut = fmt.Errorf("%w: the sparse image is cut short", entry.ErrMalformed)

func wrongSparse(format string, args ...any) error {
	return fmt.Errorf("%w: the sparse image %s", entry.ErrMalformed, fmt.Sprintf(format, args...))
}

// full reads all of p.
func (s *sparse) full(p []byte) error {
	if _, err := io.ReadFull(s.from, p); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	} else if err != nil {
		return err
	}
	return nil
}

// next reads the header, the next chunk's header, or the end.
func (s *sparse) next() error {
	if !s.begun {
		s.begun = true
		return s.readHeader()
	}
	if s.chunks == s.header.chunks {
		return s.end()
	}
	return s.readChunk()
}

func (s *sparse) readHeader() error {
	var h [simgHeader]byte
	if err := s.full(h[:]); err != nil {
		return err
	}
	if magic := binary.LittleEndian.Uint32(h[0:]); magic != simgMagic {
		return wrongSparse("does not begin as one")
	}
	if major := binary.LittleEndian.Uint16(h[4:]); major != 1 {
		return wrongSparse("has the version %d, which is not supported", major)
	}
	s.header.fileHeader = int64(binary.LittleEndian.Uint16(h[8:]))
	s.header.chunkHeader = int64(binary.LittleEndian.Uint16(h[10:]))
	s.header.block = int64(binary.LittleEndian.Uint32(h[12:]))
	s.header.blocks = binary.LittleEndian.Uint32(h[16:])
	s.header.chunks = binary.LittleEndian.Uint32(h[20:])
	if s.header.fileHeader < simgHeader || s.header.chunkHeader < simgChunk || s.header.block <= 0 || s.header.block > simgBlock || s.header.block%4 != 0 {
		return wrongSparse("has a header that makes no sense")
	}
	return s.skip(s.header.fileHeader - simgHeader)
}

func (s *sparse) skip(n int64) error {
	if n == 0 {
		return nil
	}
	return s.full(make([]byte, n)) // at most 64 KiB
}

func (s *sparse) readChunk() error {
	var h [simgChunk]byte
	if err := s.full(h[:]); err != nil {
		return err
	}
	if err := s.skip(s.header.chunkHeader - simgChunk); err != nil {
		return err
	}
	kind, blocks := binary.LittleEndian.Uint16(h[0:]), binary.LittleEndian.Uint32(h[4:])
	data := int64(binary.LittleEndian.Uint32(h[8:])) - s.header.chunkHeader
	s.chunks++
	if blocks > s.header.blocks-s.blocks {
		return wrongSparse("has more than the %d blocks that it says", s.header.blocks)
	}
	s.blocks += blocks
	size := int64(blocks) * s.header.block
	switch {
	case kind == chunkRaw && data == size:
		s.left, s.fill = size, nil
		return nil
	case kind == chunkFill && data == 4:
		s.left, s.fill = size, make([]byte, 4)
		return s.full(s.fill)
	case kind == chunkDontCare && data == 0:
		s.left, s.fill = size, make([]byte, 4)
		return nil
	case kind == chunkCRC32 && data == 4 && blocks == 0:
		return s.checkCRC()
	}
	return wrongSparse("has a chunk of the kind %#x, %d blocks and %d bytes, which makes no sense", kind, blocks, data)
}

func (s *sparse) checkCRC() error {
	var sum [4]byte
	if err := s.full(sum[:]); err != nil {
		return err
	}
	if want := binary.LittleEndian.Uint32(sum[:]); want != s.crc {
		return wrongSparse("has the checksum %08x, and says %08x", s.crc, want)
	}
	return nil
}

// end is how the stream ends: nothing is missing, and nothing follows.
func (s *sparse) end() error {
	if s.blocks != s.header.blocks {
		return wrongSparse("has %d blocks, and says %d", s.blocks, s.header.blocks)
	}
	switch n, err := io.ReadFull(s.from, make([]byte, 1)); {
	case n > 0:
		return wrongSparse("is followed by something else")
	default:
		return err // io.EOF, where the stream is right
	}
}
