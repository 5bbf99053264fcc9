package ocilog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// The hashes of a segment are a small layer beside it (SPEC section 8): a row for each
// record, in the order of the segment. Its first half is the beginning of the hash in the
// record's tag, its second half that of the hash of the reference of the image that the
// record publishes, or zeros. They say which revisions a segment covers, and which of
// them may publish from a reference, without the segment.

const (
	rowSize           = 8
	maxRows           = budgetLines                // of a snapshot that a reader takes
	annotationSegment = "vnd.caib.catalog.segment" // of a layer of hashes: the digest of its segment
)

// row is a row as a number: the hash of the tag comes first, so rows are sorted by it.
type row uint64

func (r row) tag() uint32       { return uint32(r >> 32) }
func (r row) reference() uint32 { return uint32(r) }

// tagHash is the half of a row that is of a tag.
func tagHash(tag revision.Tag) uint32 {
	var sum [4]byte
	_, _ = hex.Decode(sum[:], []byte(tag.Hash[:8])) // it is that of a tag: hexadecimal digits
	return binary.BigEndian.Uint32(sum[:])
}

// referenceHash is the half of a row that is of a reference.
func (l *Log) referenceHash(reference string) uint32 {
	sum := sha256.Sum256([]byte(l.options.NormalReference(reference)))
	return binary.BigEndian.Uint32(sum[:])
}

// rowOf returns the row of a revision.
func (l *Log) rowOf(r *revision.Revision) row {
	made := row(tagHash(r.Tag)) << 32
	if r.Document != nil {
		made |= row(l.referenceHash(r.Document.Image.Reference))
	}
	return made
}

// appendRow appends the row of a record, unless no hashes are written.
func (l *Log) appendRow(rows []byte, tag revision.Tag, o opened) []byte {
	if l.options.NormalReference == nil {
		return nil
	}
	found, ok := l.decoded.Peek(o.digest)
	if !ok || found.Tag != tag {
		var err error
		if found, err = revision.Unpack(tag, o.manifest); err != nil {
			found = &revision.Revision{Tag: tag} // no revision, and so from no reference
		}
	}
	return binary.BigEndian.AppendUint64(rows, uint64(l.rowOf(found)))
}

// hashedSegment returns the segment that a layer has the hashes of. ok is false for any
// other layer, and for one that no reader takes.
func hashedSegment(layer ocispec.Descriptor) (of digest.Digest, ok bool) {
	of = digest.Digest(layer.Annotations[annotationSegment])
	return of, layer.MediaType == revision.MediaTypeHashes && of.Validate() == nil && layer.Digest.Validate() == nil &&
		layer.Size%rowSize == 0 && layer.Size <= maxRows*rowSize
}

// addHashes pushes the hashes of a segment of the snapshot to be.
func (c *compaction) addHashes(ctx context.Context, of ocispec.Descriptor, rows []byte) error {
	if len(rows) == 0 {
		return nil
	}
	d := ocispec.Descriptor{
		MediaType: revision.MediaTypeHashes, Digest: digest.FromBytes(rows), Size: int64(len(rows)),
		Annotations: map[string]string{annotationSegment: of.Digest.String()},
	}
	if err := c.log.target.PushBlob(ctx, d, rows); err != nil {
		return err
	}
	c.takeHashes(of, d)
	return nil
}

func (c *compaction) takeHashes(of, d ocispec.Descriptor) {
	if c.next.hashes == nil {
		c.next.hashes = map[digest.Digest]ocispec.Descriptor{}
	}
	c.next.hashes[of.Digest] = d
}

// reuseHashes takes those of a segment over, if they are those that the segment has by
// all that is known, and else makes them anew.
func (c *compaction) reuseHashes(ctx context.Context, of ocispec.Descriptor) error {
	if c.log.options.NormalReference == nil {
		return nil
	}
	if d, ok := c.base.hashes[of.Digest]; ok {
		rows, err := c.log.target.Blob(ctx, d)
		if err == nil && c.log.areHashesOf(of.Digest, rows) {
			c.takeHashes(of, d)
			return nil
		}
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
	}
	blob, err := c.log.target.Blob(ctx, of)
	if err != nil {
		return err
	}
	budget, end := newBudget(ctx)
	defer end()
	var rows []byte
	seen := map[revision.Tag]bool{}
	for n, err := range lines(blob, budget) {
		if err != nil {
			return err
		}
		if o, err := n.open(); err == nil && !seen[n.tag] {
			seen[n.tag] = true
			rows = c.log.appendRow(rows, n.tag, o)
		}
	}
	return c.addHashes(ctx, of, rows)
}

// areHashesOf checks rows against what is known of the records of a segment: their tags,
// and what those publish that were decoded.
func (l *Log) areHashesOf(segment digest.Digest, text []byte) bool {
	rows := sortedRows(text)
	var decoded []*revision.Revision
	records := 0
	l.known.mu.Lock()
	for tag, f := range l.known.facts {
		if !slices.Contains(f.segments, segment) {
			continue
		}
		records++
		if len(rowsOf(rows, tag)) == 0 {
			l.known.mu.Unlock()
			return false
		}
		if found, ok := l.decoded.Peek(f.digest); ok && found.Tag == tag {
			decoded = append(decoded, found)
		}
	}
	l.known.mu.Unlock()
	return len(rows) == records && !slices.ContainsFunc(decoded, func(found *revision.Revision) bool {
		return !slices.Contains(rowsOf(rows, found.Tag), l.rowOf(found))
	})
}

// sortedRows reads rows.
func sortedRows(texts ...[]byte) (rows []row) {
	for _, text := range texts {
		for ; len(text) >= rowSize; text = text[rowSize:] {
			rows = append(rows, row(binary.BigEndian.Uint64(text)))
		}
	}
	slices.Sort(rows)
	return rows
}

// rowsOf returns the rows that may be of a tag.
func rowsOf(rows []row, tag revision.Tag) []row {
	first := row(tagHash(tag)) << 32
	from, _ := slices.BinarySearch(rows, first)
	to := from
	for to < len(rows) && rows[to].tag() == first.tag() {
		to++
	}
	return rows[from:to]
}
