// Package unpack undoes the compressions of disk images in a stream, with a bound
// on the memory that a stream can ask for.
//
// xz is read by a library that takes a bound: the better known one allocates
// whatever dictionary a header names, up to 4 GiB.
package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"

	"github.com/oci-catalog/caib/pkg/entry"
)

// MaxWindow bounds the window of a compressed stream, in bytes.
const MaxWindow = 128 << 20

const bufferSize = 256 << 10

// suffixes are the endings of file names, by compression.
var suffixes = map[string][]string{
	"gzip":       {".gz", ".gzip"},
	"xz":         {".xz"},
	"zstd":       {".zst", ".zstd"},
	"lz4":        {".lz4"},
	sparseFormat: {".simg"},
}

// sparseFormat is no compression, but undone as one.
const sparseFormat = "simg"

// Supports reports whether a compression can be undone; "" is none, and can.
func Supports(compression string) bool {
	return compression == "" || compression != sparseFormat && suffixes[compression] != nil
}

// Title is the name of a file without the suffix of its compression, or of a sparse
// image, "simg".
func Title(title, compression string) string {
	for _, suffix := range suffixes[compression] {
		if n := len(title) - len(suffix); n > 0 && strings.EqualFold(title[n:], suffix) {
			return title[:n]
		}
	}
	return title
}

// New returns what a stream holds. What cannot be decompressed, and a stream with a
// window of more than MaxWindow, is an entry.ErrMalformed when it is read. Errors of
// the stream itself are returned as they are. Whoever reads it reads to the end, and
// closes it.
func New(compression string, from io.Reader) (io.ReadCloser, error) {
	source := &source{from: from}
	buffered := bufio.NewReaderSize(source, bufferSize)
	var content io.Reader
	var err error
	release := func() {}
	switch compression {
	case "":
		content = buffered
	case "gzip":
		content, err = gzip.NewReader(buffered)
	case "xz":
		content, err = xz.NewReader(buffered, MaxWindow)
	case "zstd":
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err == nil {
			content, release = decoder, decoder.Close
		}
	case "lz4":
		content = lz4.NewReader(buffered)
	default:
		return nil, fmt.Errorf("%w: compression %q is none that can be undone here", entry.ErrMalformed, compression)
	}
	u := &unpacked{source: source, rest: buffered, content: content, compression: compression, release: release}
	if err != nil {
		return nil, u.explain(err)
	}
	return u, nil
}

// source remembers how the stream itself ended.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

type unpacked struct {
	source      *source
	rest        *bufio.Reader // of the stream, behind what content took
	content     io.Reader
	compression string
	release     func()
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.content.Read(p)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, u.explain(err)
	}
	if _, err := u.rest.ReadByte(); err == nil {
		return n, fmt.Errorf("%w: something follows the end of the %s stream", entry.ErrMalformed, u.compression)
	} else if !errors.Is(err, io.EOF) {
		return n, u.explain(err)
	}
	return n, io.EOF
}

// explain tells the stream's own errors from those of what is in it.
func (u *unpacked) explain(err error) error {
	if own := u.source.err; own != nil && !errors.Is(own, io.EOF) {
		return own
	}
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return fmt.Errorf("%w: the %s stream wants a window of more than %d MiB", entry.ErrMalformed, u.compression, MaxWindow>>20)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the %s stream is cut short", entry.ErrMalformed, u.compression)
	}
	return fmt.Errorf("%w: the %s stream cannot be read: %v", entry.ErrMalformed, u.compression, err)
}

func (u *unpacked) Close() error {
	u.release()
	return nil
}
