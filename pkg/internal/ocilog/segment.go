package ocilog

import (
	"bufio"
	"bytes"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
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

// line is a record as a segment has it, read no further than its tag.
type line struct {
	tag  revision.Tag
	text []byte // valid until the next line is read
}

// open reads the whole record and checks the manifest against the tag's hash:
// what a snapshot says is never believed for itself.
func (n line) open() (opened, error) {
	r, err := n.record()
	if err != nil {
		return opened{}, err
	}
	sum := digest.FromString(r.Manifest)
	if r.Tag != n.tag.String() || !n.tag.Names(sum) {
		return opened{}, fmt.Errorf("%w: record of %s: the manifest's digest is %s", entry.ErrMalformed, n.tag, sum)
	}
	return opened{[]byte(r.Manifest), sum, r.Signatures}, nil
}

func (n line) record() (r record, err error) {
	if err := json.Unmarshal(n.text, &r); err != nil {
		return record{}, fmt.Errorf("%w: record of %s: %v", entry.ErrMalformed, n.tag, err)
	}
	return r, nil
}

// newLine writes the record of a manifest.
func newLine(tag revision.Tag, manifest []byte, signatures ...jsontext.Value) (line, error) {
	return record{Tag: tag.String(), Manifest: string(manifest), Signatures: signatures}.line(tag)
}

func (r record) line(tag revision.Tag) (line, error) {
	text, err := json.Marshal(r)
	return line{tag: tag, text: text}, err
}

var tagField = []byte(`{"tag":"`)

// parseLine finds a record's tag. ok is false for what is no record of a
// revision; a later version may have other ones.
func parseLine(text []byte) (n line, ok bool) {
	n.text = text
	if rest, found := bytes.CutPrefix(text, tagField); found {
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			n.tag, ok = revision.ParseTag(string(rest[:end]))
			return n, ok && n.tag.Op != revision.OpSnapshot
		}
	}
	var r record
	if json.Unmarshal(text, &r) != nil {
		return line{}, false
	}
	n.tag, ok = revision.ParseTag(r.Tag)
	return n, ok && n.tag.Op != revision.OpSnapshot
}

// lines reads a compressed segment record by record, in bounded memory. An
// error ends it: the segment is cut short or corrupt, or the budget is spent.
func lines(segment []byte, b *budget) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		for text, err := range textLines(segment, b) {
			if err != nil {
				yield(line{}, err)
				return
			}
			if n, ok := parseLine(text); ok && !yield(n, nil) {
				return
			}
		}
	}
}

// textLines reads compressed lines, each valid until the next one is read.
func textLines(blob []byte, b *budget) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		decoder, err := zstd.NewReader(bytes.NewReader(blob),
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			yield(nil, err)
			return
		}
		defer decoder.Close()
		scanner := bufio.NewScanner(b.reader(decoder))
		scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
		for scanner.Scan() {
			if err := b.line(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(scanner.Bytes(), nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, fmt.Errorf("segment: %w", err))
		}
	}
}

// segmentWriter compresses lines into a segment.
type segmentWriter struct {
	buffer  bytes.Buffer
	encoder *zstd.Encoder
	count   int
	text    int // bytes before compression
}

// newSegmentWriter writes a segment that many will download.
func newSegmentWriter() (*segmentWriter, error) {
	return newLineWriter(zstd.WithWindowSize(writeWindow), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
}

// newStateWriter writes lines for the cache, where a short start of every
// process counts for more than their size.
func newStateWriter() (*segmentWriter, error) {
	return newLineWriter(zstd.WithWindowSize(64<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func newLineWriter(options ...zstd.EOption) (*segmentWriter, error) {
	w := &segmentWriter{}
	var err error
	w.encoder, err = zstd.NewWriter(&w.buffer, append(options, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))...)
	return w, err
}

func (w *segmentWriter) add(text []byte) error {
	w.count, w.text = w.count+1, w.text+len(text)+1
	if _, err := w.encoder.Write(text); err != nil {
		return err
	}
	_, err := w.encoder.Write([]byte{'\n'})
	return err
}

// full reports whether one more line of so many bytes might make the segment
// larger than writers make them.
func (w *segmentWriter) full(more int) bool {
	return w.count > 0 && (w.count >= writeRecords || w.text+more > writeText || w.buffer.Len()+more > writeBlob)
}

// finish returns the compressed segment.
func (w *segmentWriter) finish() ([]byte, error) {
	if err := w.encoder.Close(); err != nil {
		return nil, err
	}
	return w.buffer.Bytes(), nil
}
