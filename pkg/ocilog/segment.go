package ocilog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxLine     = 2*entry.MaxManifest + 4<<20 // bytes of one record
	maxSegment  = 1 << 30                     // bytes of one segment, decompressed
	zstdWindow  = 1 << 20                     // of segments that are written
	maxWindow   = 16 << 20                    // of segments that are read
	stateWindow = 64 << 10
)

// record is one line of a segment (SPEC section 8): the exact manifest of a
// revision, and what signatures its writer had seen.
type record struct {
	Tag        string           `json:"tag"`
	Manifest   string           `json:"manifest"`
	Signatures []jsontext.Value `json:"signatures,omitempty"`
	Unknown    jsontext.Value   `json:",unknown"` // of later versions: kept
}

// opened is a record whose manifest is the one that its tag was made for.
type opened struct {
	manifest   []byte
	digest     digest.Digest
	signatures []jsontext.Value // nothing is known of them
}

// line is a record as it stands in a segment, read no further than its tag.
type line struct {
	tag  entry.Tag
	text []byte // valid until the next line is read
}

// open reads the whole record and holds the manifest against the tag's hash:
// what a snapshot says is never believed for itself.
func (n line) open() (opened, error) {
	r, err := n.record()
	if err != nil {
		return opened{}, err
	}
	sum := digest.FromString(r.Manifest)
	if r.Tag != n.tag.String() || !n.tag.Names(sum) {
		return opened{}, fmt.Errorf("%w: record of %s: the manifest's digest is %s", entry.ErrInvalid, n.tag, sum)
	}
	return opened{[]byte(r.Manifest), sum, r.Signatures}, nil
}

func (n line) record() (r record, err error) {
	if err := json.Unmarshal(n.text, &r); err != nil {
		return record{}, fmt.Errorf("%w: record of %s: %v", entry.ErrInvalid, n.tag, err)
	}
	return r, nil
}

// newLine writes the record of a manifest.
func newLine(tag entry.Tag, manifest []byte, signatures ...jsontext.Value) (line, error) {
	return record{Tag: tag.String(), Manifest: string(manifest), Signatures: signatures}.line(tag)
}

func (r record) line(tag entry.Tag) (line, error) {
	text, err := json.Marshal(r)
	return line{tag: tag, text: text}, err
}

var tagField = []byte(`{"tag":"`)

// parseLine finds a record's tag. ok is false for what is no record of the
// log; a later version may have other ones.
func parseLine(text []byte) (n line, ok bool) {
	if rest, found := bytes.CutPrefix(text, tagField); found {
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			tag, ok := entry.ParseTag(string(rest[:end]))
			return line{tag: tag, text: text}, ok
		}
	}
	var r record
	if json.Unmarshal(text, &r) != nil {
		return line{}, false
	}
	tag, ok := entry.ParseTag(r.Tag)
	return line{tag: tag, text: text}, ok
}

// lines reads a compressed segment record by record, in bounded memory. An
// error ends it: the segment is cut short, corrupt or too large.
func lines(segment []byte) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		decoder, err := zstd.NewReader(bytes.NewReader(segment),
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			yield(line{}, err)
			return
		}
		defer decoder.Close()
		bounded := &io.LimitedReader{R: decoder, N: maxSegment}
		scanner := bufio.NewScanner(bounded)
		scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
		for scanner.Scan() {
			if n, ok := parseLine(scanner.Bytes()); ok && !yield(n, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(line{}, fmt.Errorf("segment: %w", err))
		} else if bounded.N == 0 {
			yield(line{}, fmt.Errorf("segment: longer than %d bytes", maxSegment))
		}
	}
}

// segmentWriter compresses records into a segment.
type segmentWriter struct {
	buffer  bytes.Buffer
	encoder *zstd.Encoder
	count   int
}

// newSegmentWriter writes a segment that many will download.
func newSegmentWriter() (*segmentWriter, error) {
	return newLineWriter(zstd.WithWindowSize(zstdWindow), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
}

// newStateWriter writes a segment for the cache, where a short start of every
// process counts for more than its size.
func newStateWriter() (*segmentWriter, error) {
	return newLineWriter(zstd.WithWindowSize(stateWindow), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func newLineWriter(options ...zstd.EOption) (*segmentWriter, error) {
	w := &segmentWriter{}
	var err error
	w.encoder, err = zstd.NewWriter(&w.buffer, append(options, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))...)
	return w, err
}

func (w *segmentWriter) add(n line) error {
	w.count++
	if _, err := w.encoder.Write(n.text); err != nil {
		return err
	}
	_, err := w.encoder.Write([]byte{'\n'})
	return err
}

// finish returns the compressed segment.
func (w *segmentWriter) finish() ([]byte, error) {
	if err := w.encoder.Close(); err != nil {
		return nil, err
	}
	return w.buffer.Bytes(), nil
}
