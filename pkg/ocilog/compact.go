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
)

// Annotations of a snapshot (SPEC section 8).
const (
	annotationRevisions = "vnd.caib.catalog.revisions"
	annotationPrevious  = "vnd.caib.catalog.previous"
)

// maxRecords bounds the records of a segment that writers make, far below what
// readers take: about 30 MB compressed.
const maxRecords = 40_000

// minTail is the fewest uncovered revisions that make a snapshot worth while.
const minTail = 32

// part is a segment to be: the segments it merges, the last of which may be
// the uncovered tail (newTail).
type part struct {
	sources []int
	count   int
}

const newTail = -1

// plan tiers the segments of the next snapshot: each is at least twice as
// large as the one after it, so that few are rewritten and there are no more
// than maxSegments until some have reached maxRecords. counts are the records of the present segments in
// order, tail those that are new.
func plan(counts []int, tail int) []part {
	var parts []part
	for i, count := range counts {
		parts = append(parts, part{sources: []int{i}, count: count})
	}
	parts = append(parts, part{sources: []int{newTail}, count: tail})
	for n := len(parts); n > 1; n = len(parts) {
		a, b := parts[n-2], parts[n-1]
		if a.count >= 2*b.count && n <= maxSegments || a.count+b.count > maxRecords {
			break
		}
		parts = append(parts[:n-2], part{sources: append(slices.Clone(a.sources), b.sources...), count: a.count + b.count})
	}
	return parts
}

// Compact writes a snapshot if one is due: if the revisions that the newest
// one does not cover have reached max(32, an eighth of those it does). It
// reports whether it wrote one. A catalog is whole without it.
func (l *Log) Compact(ctx context.Context, view *View) (bool, error) {
	l.mu.Lock()
	old := l.snapshot
	var uncovered []entry.Tag
	for _, tag := range view.withOwn(l.tail) {
		if !l.covers(tag) {
			uncovered = append(uncovered, tag)
		}
	}
	l.mu.Unlock()
	covered := 0
	if old != nil {
		covered = len(old.where)
	}
	due := max(minTail, covered/8)
	if len(uncovered) < due {
		return false, nil
	}
	tail, err := l.tailLines(ctx, uncovered)
	if err != nil || len(tail) < due {
		return false, err
	}
	next, blobs, err := l.build(ctx, old, tail, view)
	if err != nil {
		return false, err
	}
	return true, l.push(ctx, next, blobs)
}

// withOwn returns the view's tags and those that this process appended since.
func (v *View) withOwn(tail map[entry.Tag][]byte) []entry.Tag {
	all := slices.Clone(v.tags)
	known := map[entry.Tag]bool{}
	for _, tag := range all {
		known[tag] = true
	}
	for tag := range tail {
		if !known[tag] {
			all = append(all, tag)
		}
	}
	slices.SortFunc(all, entry.Tag.Compare)
	return slices.DeleteFunc(all, v.isGone)
}

// tailLines returns the records of tags, fetching the manifests that are not
// held. Tags that hold no manifest, or another one than theirs, are left out,
// and so are manifests that no record can hold.
func (l *Log) tailLines(ctx context.Context, tags []entry.Tag) ([]line, error) {
	made := make([]line, len(tags))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(l.options.Parallel)
	for i, tag := range tags {
		group.Go(func() error {
			l.mu.Lock()
			manifest, held := l.tail[tag]
			l.mu.Unlock()
			if !held {
				var err error
				manifest, _, err = l.fetch(within, tag)
				if errors.Is(err, entry.ErrInvalid) || errors.Is(err, entry.ErrNotFound) {
					return nil
				}
				if err != nil {
					return err
				}
			}
			if l.options.Lookup != nil && len(l.Signatures(tag)) == 0 {
				l.AddSignatures(tag, l.options.Lookup(within, tag, digest.FromBytes(manifest))...)
			}
			// A manifest that is not UTF-8 fits into no record.
			made[i], _ = newLine(tag, manifest)
			return nil
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(made, func(n line) bool { return n.text == nil }), err
}

// build makes the next snapshot from the old one's segments and new records.
func (l *Log) build(ctx context.Context, old *snapshot, tail []line, view *View) (*snapshot, []entry.Blob, error) {
	var counts []int
	if old != nil {
		counts = make([]int, len(old.segments))
		for _, i := range old.where {
			counts[i]++
		}
	}
	next := &snapshot{where: map[entry.Tag]int{}}
	var blobs []entry.Blob
	for i, p := range plan(counts, len(tail)) {
		if len(p.sources) == 1 && p.sources[0] != newTail {
			next.segments, next.kept = append(next.segments, old.segments[p.sources[0]]), i+1
			for tag, at := range old.where {
				if at == p.sources[0] {
					next.where[tag] = i
				}
			}
			continue
		}
		blob, tags, err := l.merge(ctx, old, p, tail, view)
		if err != nil {
			return nil, nil, err
		}
		for _, tag := range tags {
			next.where[tag] = i
		}
		blobs = append(blobs, blob)
		next.segments = append(next.segments, blob.Descriptor)
	}
	manifest, err := snapshotManifest(next, old)
	if err != nil {
		return nil, nil, err
	}
	next.manifest, next.digest = manifest, digest.FromBytes(manifest)
	next.tag = entry.SnapshotTag(entry.NextTime(l.options.Now(), entry.SnapshotName, view.snapshots), next.digest)
	if _, ok := entry.ParseTag(next.tag.String()); !ok {
		return nil, nil, fmt.Errorf("%w: a snapshot is dated so far ahead that none can follow it", entry.ErrConflict)
	}
	return next, blobs, nil
}

// merge writes one segment from several sources. Records are copied as they
// stand, signatures and unknown fields included, if they are genuine.
func (l *Log) merge(ctx context.Context, old *snapshot, p part, tail []line, view *View) (entry.Blob, []entry.Tag, error) {
	writer, err := newSegmentWriter()
	if err != nil {
		return entry.Blob{}, nil, err
	}
	var tags []entry.Tag
	written := map[entry.Tag]bool{}
	add := func(n line) error {
		if written[n.tag] || view.isGone(n.tag) {
			return nil
		}
		if _, err := n.open(); err != nil {
			return nil // not genuine: readers would drop it too
		}
		n = l.withSignatures(n)
		written[n.tag] = true
		tags = append(tags, n.tag)
		return writer.add(n)
	}
	for _, source := range p.sources {
		if source == newTail {
			for _, n := range tail {
				if err := add(n); err != nil {
					return entry.Blob{}, nil, err
				}
			}
			continue
		}
		blob, err := l.segment(ctx, old.segments[source])
		if err != nil {
			return entry.Blob{}, nil, err
		}
		for n, err := range lines(blob) {
			if err == nil {
				err = add(n)
			}
			if err != nil {
				return entry.Blob{}, nil, err
			}
		}
	}
	content, err := writer.finish()
	if err != nil {
		return entry.Blob{}, nil, err
	}
	return entry.Blob{Content: content, Descriptor: ocispec.Descriptor{
		MediaType: entry.MediaTypeSegment, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}}, tags, nil
}

func snapshotManifest(next, old *snapshot) ([]byte, error) {
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	annotations := map[string]string{annotationRevisions: strconv.Itoa(len(next.where))}
	if old != nil {
		annotations[annotationPrevious] = old.digest.String()
	}
	return json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: entry.MediaTypeSnapshot,
		Config:       config,
		Layers:       next.segments,
		Annotations:  annotations,
	}, json.Deterministic(true))
}

// push writes the snapshot's new segments and its manifest, and makes it the
// log's own.
func (l *Log) push(ctx context.Context, next *snapshot, blobs []entry.Blob) error {
	empty := ocispec.DescriptorEmptyJSON
	blobs = append(blobs, entry.Blob{Descriptor: empty, Content: empty.Data})
	for _, blob := range blobs {
		if err := l.target.PushBlob(ctx, blob.Descriptor, blob.Content); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		if blob.Descriptor.MediaType == entry.MediaTypeSegment {
			l.options.Cache.putSegment(blob.Descriptor.Digest, blob.Content)
		}
	}
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: next.digest, Size: int64(len(next.manifest))}
	if err := l.target.PushManifest(ctx, descriptor, next.manifest, next.tag.String()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	l.mu.Lock()
	l.snapshot, l.dirty = next, true
	for tag := range next.where {
		delete(l.tail, tag)
	}
	for tag := range l.added {
		if i, covered := next.where[tag]; covered && i >= next.kept {
			delete(l.added, tag)
		}
	}
	l.mu.Unlock()
	l.save()
	return nil
}
