package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxSegments  = 8  // that a writer makes
	readSegments = 64 // that a reader takes
	trySnapshots = 3  // newest first, until one is whole
)

var errEmpty = fmt.Errorf("%w: it has no records", entry.ErrInvalid)

// snapshot is a snapshot as far as it could be read. It is immutable.
type snapshot struct {
	tag      entry.Tag
	digest   digest.Digest
	manifest []byte
	segments []ocispec.Descriptor
	where    map[entry.Tag]int // which segment has a record of the tag
	kept     int               // of a snapshot to be: how many segments are the old one's
}

// adopt makes the newest readable snapshot the log's own, decoding the wanted
// revisions on the way, and reports those that could not be read. A snapshot
// is a cache: its faults cost requests, never entries.
func (l *Log) adopt(ctx context.Context, listed []entry.Tag, wanted map[entry.Tag]bool) (faults []error) {
	l.mu.Lock()
	known, remembered := l.snapshot, l.remembered
	l.mu.Unlock()
	have := known
	candidates := slices.Clone(listed)
	if remembered != nil && !slices.Contains(candidates, remembered.tag) {
		candidates = append(candidates, remembered.tag)
	}
	slices.SortFunc(candidates, func(a, b entry.Tag) int { return b.Compare(a) })
	for _, tag := range candidates[:min(len(candidates), trySnapshots)] {
		if known != nil && known.tag.Compare(tag) >= 0 {
			break
		}
		found, err := l.readSnapshot(ctx, tag, wanted)
		if ctx.Err() != nil {
			return faults
		}
		if err == nil && len(found.where) > 0 {
			have = found
			break
		}
		faults = append(faults, fmt.Errorf("snapshot %s: %w", tag, cmp.Or(err, errEmpty)))
		if found != nil && (have == nil || len(found.where) > len(have.where)) {
			have = found // in part is better than not at all
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if have == nil || have == l.snapshot {
		return faults
	}
	l.dirty = l.dirty || remembered == nil || have.tag != remembered.tag
	l.snapshot = have
	for tag := range l.tail {
		if l.covers(tag) {
			delete(l.tail, tag)
		}
	}
	return faults
}

// readSnapshot fetches a snapshot and scans its segments in parallel. With an
// error, the result holds what could be read, or is nil.
func (l *Log) readSnapshot(ctx context.Context, tag entry.Tag, wanted map[entry.Tag]bool) (*snapshot, error) {
	l.mu.Lock()
	s := l.remembered
	l.mu.Unlock()
	if s == nil || s.tag != tag {
		descriptor, manifest, err := l.target.Manifest(ctx, tag.String())
		if err != nil {
			return nil, err
		}
		if s, err = parseSnapshot(tag, descriptor.Digest, manifest); err != nil {
			return nil, err
		}
	}
	return s, l.scanAll(ctx, s, wanted)
}

func parseSnapshot(tag entry.Tag, sum digest.Digest, text []byte) (*snapshot, error) {
	if !tag.Names(digest.FromBytes(text)) {
		return nil, fmt.Errorf("%w: the manifest's digest is %s", entry.ErrInvalid, sum)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
	}
	if manifest.ArtifactType != entry.MediaTypeSnapshot {
		return nil, fmt.Errorf("%w: artifact type %q", entry.ErrInvalid, manifest.ArtifactType)
	}
	s := &snapshot{tag: tag, digest: sum, manifest: text, where: map[entry.Tag]int{}}
	for _, layer := range manifest.Layers {
		if layer.MediaType == entry.MediaTypeSegment {
			s.segments = append(s.segments, layer)
		}
	}
	if len(s.segments) > readSegments {
		return nil, fmt.Errorf("%w: %d segments, more than the %d allowed", entry.ErrInvalid, len(s.segments), readSegments)
	}
	return s, nil
}

// scanAll fills s.where from all segments, and decodes the wanted revisions.
func (l *Log) scanAll(ctx context.Context, s *snapshot, wanted map[entry.Tag]bool) error {
	var mu sync.Mutex
	var faults []error
	group := errgroup.Group{}
	group.SetLimit(l.options.Parallel)
	for i, segment := range s.segments {
		group.Go(func() error {
			tags, err := l.scan(ctx, segment, wanted)
			mu.Lock()
			defer mu.Unlock()
			for _, tag := range tags {
				s.where[tag] = i
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("segment %s: %w", segment.Digest, err))
			}
			return nil
		})
	}
	_ = group.Wait() // faults are collected: one bad segment does not spoil the others
	return errors.Join(faults...)
}

// batchSize is how many records a worker decodes at a time: enough that handing
// them over costs little beside.
const batchSize = 32

// scan reads one segment: the tags of all its records, and the wanted ones
// decoded into the cache. A record that is not genuine is not returned, if it
// was wanted; the others are held against their tags when they are.
func (l *Log) scan(ctx context.Context, segment ocispec.Descriptor, wanted map[entry.Tag]bool) ([]entry.Tag, error) {
	blob, err := l.segment(ctx, segment)
	if err != nil {
		return nil, err
	}
	var tags []entry.Tag
	var forged sync.Map
	workers := errgroup.Group{}
	workers.SetLimit(runtime.GOMAXPROCS(0))
	batch := make([]line, 0, batchSize)
	flush := func() {
		own := batch
		batch = make([]line, 0, batchSize)
		workers.Go(func() error {
			for _, n := range own {
				if o, err := n.open(); err != nil {
					forged.Store(n.tag, err)
				} else {
					revision, err := l.learn(n.tag, o.digest, o.manifest) // what is no revision is reported when it decides
					l.learnSignatures(n.tag, o.signatures)
					if err == nil && l.options.Learned != nil {
						l.options.Learned(revision, o.signatures)
					}
				}
			}
			return nil
		})
	}
	for n, fault := range lines(blob) {
		if fault != nil {
			err = fault
			break
		}
		if n.tag.Op == entry.OpSnapshot {
			continue
		}
		tags = append(tags, n.tag)
		if wanted[n.tag] {
			if batch = append(batch, line{tag: n.tag, text: slices.Clone(n.text)}); len(batch) == batchSize {
				flush()
			}
		}
	}
	flush()
	_ = workers.Wait() // never fails: forgeries are collected
	return slices.DeleteFunc(tags, func(tag entry.Tag) bool {
		_, bad := forged.Load(tag)
		return bad
	}), err
}

// segment returns a segment's bytes, from the cache where it has them.
func (l *Log) segment(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if blob, ok := l.options.Cache.segment(descriptor.Digest); ok {
		return blob, nil
	}
	blob, err := l.target.Blob(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	l.options.Cache.putSegment(descriptor.Digest, blob)
	return blob, nil
}

// learn decodes a genuine manifest and remembers the result. One that is not a
// revision is remembered by its digest alone.
func (l *Log) learn(tag entry.Tag, sum digest.Digest, manifest []byte) (*entry.Revision, error) {
	revision, err := entry.Unpack(tag, manifest)
	l.mu.Lock()
	l.genuine[tag] = genuine{sum, err == nil && revision.Newer == ""}
	l.mu.Unlock()
	if err == nil {
		l.decoded.Add(sum, revision)
	}
	return revision, err
}
