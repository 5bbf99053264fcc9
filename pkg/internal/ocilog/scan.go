package ocilog

import (
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// segment is a segment of a snapshot that was read.
type segment struct {
	descriptor ocispec.Descriptor
	records    int
	text       int   // bytes of them, decompressed
	fault      error // why it could not be read to its end
}

// batchSize is how many records a worker decodes at a time: enough that handing
// them over costs little beside.
const (
	batchSize  = 32
	batchBytes = 1 << 20
)

// readSegment reads one segment, unless that was done: the tags of its records
// become known, and the wanted ones are decoded. A wanted record that is not
// valid is no record; the others are checked when they are wanted.
func (l *Log) readSegment(budget *budget, from blobs, d ocispec.Descriptor, wanted map[revision.Tag]bool) error {
	l.known.mu.Lock()
	done := l.known.segments[d.Digest]
	l.known.mu.Unlock()
	if done != nil && !errors.Is(done.fault, entry.ErrTimeout) && !errors.Is(done.fault, errSpent) {
		return done.fault
	}
	weight := min(max(d.Size, 1), maxSegmentBytes)
	if err := l.memory.Acquire(budget.ctx, weight); err != nil {
		return timedOut(budget.ctx)
	}
	defer l.memory.Release(weight)
	blob, err := from.Blob(budget.ctx, d)
	if err != nil {
		return err // it may be had another time
	}
	tags, text, err := l.scan(blob, budget, wanted)
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	l.known.segments[d.Digest] = &segment{descriptor: d, records: len(tags), text: text, fault: err}
	for _, tag := range tags {
		if f := l.known.of(tag); !slices.Contains(f.segments, d.Digest) {
			f.segments = append(f.segments, d.Digest)
		}
	}
	return err
}

// scan returns the tags of a segment's records, in order and each once, and how
// many bytes they are. With an error it is those before the fault.
func (l *Log) scan(blob []byte, budget *budget, wanted map[revision.Tag]bool) (tags []revision.Tag, text int, fault error) {
	select {
	case l.scanning <- struct{}{}:
		defer func() { <-l.scanning }()
	case <-budget.ctx.Done():
		return nil, 0, timedOut(budget.ctx)
	}
	var forged sync.Map
	workers := errgroup.Group{}
	workers.SetLimit(runtime.GOMAXPROCS(0))
	batch := make([]line, 0, batchSize)
	flush := func() {
		own := batch
		batch = make([]line, 0, batchSize)
		workers.Go(func() error {
			for _, n := range own {
				if !l.recordLine(n) {
					forged.Store(n.tag, true)
				}
			}
			return nil
		})
	}
	seen, held := map[revision.Tag]bool{}, 0
	for n, err := range lines(blob, budget) {
		if err != nil {
			fault = err
			break
		}
		if seen[n.tag] {
			continue
		}
		seen[n.tag] = true
		tags, text = append(tags, n.tag), text+len(n.text)
		if wanted[n.tag] {
			batch, held = append(batch, line{tag: n.tag, text: slices.Clone(n.text)}), held+len(n.text)
			if len(batch) == batchSize || held > batchBytes {
				flush()
				held = 0
			}
		}
	}
	flush()
	_ = workers.Wait() // never fails: forgeries are collected
	tags = slices.DeleteFunc(tags, func(tag revision.Tag) bool {
		_, bad := forged.Load(tag)
		return bad
	})
	return tags, text, fault
}

// recordLine decodes a record. It reports false for one that is not valid; what
// is no revision is reported when it decides.
func (l *Log) recordLine(n line) bool {
	o, err := n.open()
	if err != nil {
		return false
	}
	revision, err := l.decode(n.tag, o.digest, o.manifest)
	l.recordSignatures(n.tag, o.signatures)
	if err == nil && l.options.Decoded != nil {
		l.options.Decoded(revision, o.signatures)
	}
	return true
}

// decode decodes a valid manifest and records what it is. A second manifest
// with the hash of a tag that is known is an *OverwrittenError.
func (l *Log) decode(tag revision.Tag, sum digest.Digest, manifest []byte) (*revision.Revision, error) {
	revision, err := revision.Unpack(tag, manifest)
	what := foreign
	switch {
	case err == nil && revision.Later != "":
		what = later
	case err == nil:
		what = valid
	}
	if !l.known.record(tag, sum, what) {
		return nil, l.overwritten(tag, sum)
	}
	if err == nil {
		l.decoded.Add(sum, revision)
	}
	return revision, err
}
