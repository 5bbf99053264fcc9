package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// compaction is a snapshot under way: from the base's segments and the tail.
type compaction struct {
	log     *Log
	view    *View
	base    *snapshot
	tail    []revision.Tag
	next    snapshot
	written map[revision.Tag]bool // into the segments that are new
	// copied finds those of the tail that another log has at hand; nil finds none.
	copied func(context.Context, []revision.Tag) (map[revision.Tag]*CopyItem, error)
	fresh  bool // no new segment has the digest of one that was damaged: not every registry takes it again

	writer  *segmentWriter // of the segment under way
	tags    []revision.Tag // in it
	rows    []byte         // its hashes
	records int
	text    int
}

func (c *compaction) run(ctx context.Context) error {
	counts := make([]int, len(c.base.segments))
	c.log.known.mu.Lock()
	for i, d := range c.base.segments {
		counts[i] = c.log.known.segments[d.Digest].records
	}
	c.log.known.mu.Unlock()
	for _, p := range plan(counts, len(c.tail)) {
		var err error
		if len(p.sources) == 1 && p.sources[0] != newTail {
			err = c.reuse(ctx, c.base.segments[p.sources[0]])
		} else {
			err = c.merge(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return c.commit(ctx)
}

// reuse takes a segment of the base over as it is, with hashes that were checked.
func (c *compaction) reuse(ctx context.Context, d ocispec.Descriptor) error {
	c.log.known.mu.Lock()
	read := c.log.known.segments[d.Digest]
	c.log.known.mu.Unlock()
	c.next.segments = append(c.next.segments, d)
	if err := c.reuseHashes(ctx, d); err != nil {
		return err
	}
	return c.spend(read.records, read.text)
}

// spend checks that readers take what the snapshot comes to.
func (c *compaction) spend(records, text int) error {
	c.records, c.text = c.records+records, c.text+text
	if int64(c.records) > portion(budgetLines) || int64(c.text) > portion(budgetText) || len(c.next.segments) > readSegments {
		return fmt.Errorf("%w: %d records with %d bytes in %d segments are more than readers take", entry.ErrMalformed, c.records, c.text, len(c.next.segments))
	}
	return nil
}

// merge writes segments from several sources: one, as long as it stays within
// the bounds of one. Records are copied as they are, signatures and unknown
// fields included, if they are valid.
func (c *compaction) merge(ctx context.Context, p part) error {
	for _, source := range p.sources {
		var err error
		if source == newTail {
			err = c.addTail(ctx)
		} else {
			err = c.addSegment(ctx, c.base.segments[source])
		}
		if err != nil {
			return err
		}
	}
	return c.flush(ctx)
}

func (c *compaction) addSegment(ctx context.Context, d ocispec.Descriptor) error {
	blob, err := c.log.target.Blob(ctx, d)
	if err != nil {
		return err
	}
	budget, end := newBudget(ctx)
	defer end()
	for n, err := range lines(blob, budget) {
		if err == nil {
			err = c.add(ctx, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addTail writes the records of the tail, some fetched at a time.
func (c *compaction) addTail(ctx context.Context) error {
	size, items := 4*c.log.options.Parallel, map[revision.Tag]*CopyItem(nil)
	if c.copied != nil {
		size = copyBatch
	}
	for some := range slices.Chunk(c.tail, size) {
		if c.copied != nil {
			var err error
			if items, err = c.copied(ctx, some); err != nil {
				return err
			}
		}
		made := make([]line, len(some))
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(c.log.options.Parallel)
		for i, tag := range some {
			group.Go(func() (err error) {
				made[i], err = c.log.tailLine(within, tag, items[tag])
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for _, n := range made {
			if n.text == nil {
				continue
			}
			if err := c.add(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailLine makes the record of a revision, of which a copy may have all there is: nil is
// none. One without text is not to be had, or fits into no record: it is not UTF-8.
func (l *Log) tailLine(ctx context.Context, tag revision.Tag, copied *CopyItem) (line, error) {
	if copied != nil {
		n, err := newLine(tag, copied.Manifest, union(copied.Signatures, l.SnapshotSignatures(tag))...)
		if err != nil {
			return line{}, nil
		}
		return n, nil
	}
	manifest, err := l.Manifest(ctx, tag)
	if errors.Is(err, entry.ErrMalformed) || errors.Is(err, entry.ErrNotFound) {
		return line{}, nil
	}
	if err != nil {
		return line{}, err
	}
	if l.options.Lookup != nil && len(l.Signatures(tag)) == 0 {
		l.AddSignatures(ctx, tag, l.options.Lookup(ctx, tag, digest.FromBytes(manifest))...)
	}
	n, err := newLine(tag, manifest, l.SnapshotSignatures(tag)...)
	if err != nil {
		return line{}, nil
	}
	return n, nil
}

// add writes a record, each once.
func (c *compaction) add(ctx context.Context, n line) error {
	if c.written[n.tag] || c.view.isNone(n.tag) {
		return nil
	}
	o, err := n.open()
	if err != nil {
		return nil // not valid: readers would drop it too
	}
	n = c.log.withSignatures(n)
	if c.writer != nil && c.writer.full(len(n.text)) {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	if c.writer == nil {
		if c.writer, err = newSegmentWriter(); err != nil {
			return err
		}
		if c.fresh {
			if err := c.writer.add(nil); err != nil { // an empty line, which readers skip
				return err
			}
		}
	}
	c.written[n.tag] = true
	c.tags = append(c.tags, n.tag)
	c.rows = c.log.appendRow(c.rows, n.tag, o)
	return c.writer.add(n.text)
}

// flush pushes the segment under way, if there is one.
func (c *compaction) flush(ctx context.Context) error {
	if c.writer == nil {
		return nil
	}
	text := c.writer.text
	content, err := c.writer.finish()
	if err != nil {
		return err
	}
	d := ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if err := c.log.target.PushBlob(ctx, d, content); err != nil {
		return err
	}
	c.next.segments = append(c.next.segments, d)
	if err := c.addHashes(ctx, d, c.rows); err != nil {
		return err
	}
	c.log.known.mu.Lock()
	c.log.known.segments[d.Digest] = &segment{descriptor: d, records: len(c.tags), text: text}
	for _, tag := range c.tags {
		if f := c.log.known.of(tag); !slices.Contains(f.segments, d.Digest) {
			f.segments = append(f.segments, d.Digest)
		}
	}
	c.log.known.mu.Unlock()
	err = c.spend(len(c.tags), text)
	c.writer, c.tags, c.rows = nil, nil, nil
	return err
}

// commit writes the snapshot's manifest, and makes it the log's own.
func (c *compaction) commit(ctx context.Context) error {
	l := c.log
	manifest, err := c.manifest()
	if err != nil {
		return err
	}
	next := &c.next
	next.manifest, next.digest = manifest, digest.FromBytes(manifest)
	next.tag = revision.SnapshotTag(revision.NextTime(l.options.Now(), revision.SnapshotName, append(slices.Clone(c.view.snapshots), c.base.tag)), next.digest)
	empty := ocispec.DescriptorEmptyJSON
	if err := l.target.PushBlob(ctx, empty, empty.Data); err != nil {
		return err
	}
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: next.digest, Size: int64(len(next.manifest))}
	if err := l.target.PushManifest(ctx, descriptor, next.manifest, next.tag.String()); err != nil {
		return err
	}
	l.known.mu.Lock()
	for tag := range c.written {
		if f := l.known.facts[tag]; f != nil && len(f.added) > 0 {
			f.signatures = union(f.signatures, f.added)
			f.added, l.known.added = nil, l.known.added-1
		}
	}
	l.known.mu.Unlock()
	l.addSnapshot(next)
	return nil
}

func (c *compaction) manifest() ([]byte, error) {
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	annotations := map[string]string{annotationRevisions: strconv.Itoa(c.records)}
	if c.base.digest != "" {
		annotations[annotationPrevious] = c.base.digest.String()
	}
	var layers []ocispec.Descriptor
	for _, d := range c.next.segments {
		layers = append(layers, d)
		if of, ok := c.next.hashes[d.Digest]; ok {
			layers = append(layers, of)
		}
	}
	return snapshotManifest(config, layers, annotations)
}

func snapshotManifest(config ocispec.Descriptor, layers []ocispec.Descriptor, annotations map[string]string) ([]byte, error) {
	return json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: revision.MediaTypeSnapshot,
		Config:       config,
		Layers:       layers,
		Annotations:  annotations,
	}, json.Deterministic(true))
}
