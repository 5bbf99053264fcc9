package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

var errEmpty = fmt.Errorf("%w: it has no records", entry.ErrMalformed)

// snapshot is a snapshot's manifest. What its records say is in the knowledge.
// It is immutable but for read.
type snapshot struct {
	tag      revision.Tag
	digest   digest.Digest
	manifest []byte
	segments []ocispec.Descriptor                 // each once
	hashes   map[digest.Digest]ocispec.Descriptor // of segments, by their digests, as far as they have any
	read     bool                                 // its segments were; guarded by known.mu
}

func parseSnapshot(tag revision.Tag, sum digest.Digest, text []byte) (*snapshot, error) {
	if !tag.Names(digest.FromBytes(text)) {
		return nil, fmt.Errorf("%w: the manifest's digest is %s", entry.ErrMalformed, sum)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("%w: %v", entry.ErrMalformed, err)
	}
	if manifest.ArtifactType != revision.MediaTypeSnapshot {
		return nil, fmt.Errorf("%w: artifact type %q", entry.ErrMalformed, manifest.ArtifactType)
	}
	s := &snapshot{tag: tag, digest: sum, manifest: text, hashes: map[digest.Digest]ocispec.Descriptor{}}
	for _, layer := range manifest.Layers {
		if of, ok := hashedSegment(layer); ok {
			s.hashes[of] = layer
			continue
		}
		if layer.MediaType != revision.MediaTypeSegment || s.has(layer.Digest) {
			continue
		}
		if err := layer.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("%w: a segment's digest: %v", entry.ErrMalformed, err)
		}
		s.segments = append(s.segments, layer)
	}
	if len(s.segments) > readSegments {
		return nil, fmt.Errorf("%w: %d segments, more than the %d allowed", entry.ErrMalformed, len(s.segments), readSegments)
	}
	return s, nil
}

func (s *snapshot) has(d digest.Digest) bool {
	return slices.ContainsFunc(s.segments, func(segment ocispec.Descriptor) bool { return segment.Digest == d })
}

// readSnapshots adds what the newest readable snapshot says to what is known,
// decoding the wanted revisions on the way, and reports those that could not be
// read. Where a snapshot leaves unknown what its writer must have seen, the next
// older one is read as well: it may be a forgery. All of them share one budget,
// and their faults cost requests, never entries.
func (l *Log) readSnapshots(ctx context.Context, view *View, wanted map[revision.Tag]bool) (faults []error) {
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return nil
	}
	budget, end := newBudget(ctx)
	defer end()
	tried := 0
	for _, tag := range l.candidates(view.snapshots) {
		s := l.knownSnapshot(tag)
		if tried == trySnapshots || s != nil && s.read {
			break
		}
		tried++
		budget.begin()
		err := l.unreadable[tag]
		if err == nil {
			s, err = l.readSnapshot(budget, l.target, tag, s, wanted)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("snapshot %s: %w", tag, err))
		}
		if errors.Is(err, entry.ErrMalformed) {
			l.unreadable[tag] = err // it is immutable
		}
		l.known.saw(view.listed...) // what a snapshot carries of it decides which one is kept
		if s != nil {
			l.addSnapshot(s)
		}
		if budget.ctx.Err() != nil || err == nil && !l.isBehind(tag, view.listed) {
			break
		}
	}
	return faults
}

// candidates returns the snapshots to try, newest first: those that are listed,
// and those of the cache.
func (l *Log) candidates(listed []revision.Tag) []revision.Tag {
	all := slices.Clone(listed)
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	for _, s := range l.snapshots {
		all = append(all, s.tag)
	}
	slices.SortFunc(all, func(a, b revision.Tag) int { return b.Compare(a) })
	return slices.Compact(all)
}

// snapshot returns a snapshot that is known, or nil.
func (l *Log) snapshot(tag revision.Tag) *snapshot {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	for _, s := range l.snapshots {
		if s.tag == tag {
			return s
		}
	}
	return nil
}

// knownSnapshot is snapshot, and returns one of which only the manifest was read as well.
func (l *Log) knownSnapshot(tag revision.Tag) *snapshot {
	if s := l.snapshot(tag); s != nil {
		return s
	}
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.fetched != nil && l.fetched.tag == tag {
		return l.fetched
	}
	return nil
}

// addSnapshot keeps a snapshot's manifest for the next process and for compacting: the
// newest, and the one whose segments carry most.
func (l *Log) addSnapshot(s *snapshot) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	s.read = true
	before := l.snapshots
	all := append(slices.DeleteFunc(slices.Clone(before), func(other *snapshot) bool { return other.tag == s.tag }), s)
	slices.SortFunc(all, func(a, b *snapshot) int { return a.tag.Compare(b.tag) })
	newest := all[len(all)-1]
	most := l.most(all)
	l.snapshots = slices.DeleteFunc(all, func(other *snapshot) bool { return other != newest && other != most })
	l.known.changed = l.known.changed || !slices.Equal(before, l.snapshots)
	if l.newest.Compare(s.tag) < 0 {
		l.newest = s.tag
	}
	for _, f := range l.known.facts {
		if f.manifest != nil && !f.absent && l.known.carried(f) {
			l.known.drop(f)
		}
	}
}

// most returns the snapshot with most records of what the registry showed; the
// later of equals. What else it claims may be anything. The caller holds the lock.
func (l *Log) most(all []*snapshot) (most *snapshot) {
	best := -1
	for _, s := range all {
		if n := l.carries(s); n >= best {
			best, most = n, s
		}
	}
	return most
}

// carries counts the revisions that the registry showed and a snapshot's readable
// segments claim. The caller holds the lock.
func (l *Log) carries(s *snapshot) (n int) {
	for _, f := range l.known.facts {
		if f.seen && slices.ContainsFunc(f.segments, func(d digest.Digest) bool {
			read := l.known.segments[d]
			return s.has(d) && read != nil && read.fault == nil
		}) {
			n++
		}
	}
	return n
}

// isBehind reports whether a snapshot leaves unknown what its writer must have
// seen: anything listed from before it, by more than clocks may differ, or more of
// what is listed than a writer leaves before it writes the next one.
func (l *Log) isBehind(s revision.Tag, listed []revision.Tag) bool {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	unknown := 0
	for _, tag := range listed {
		if l.known.facts[tag] != nil {
			continue
		}
		if unknown++; tag.Millis < s.Millis-maxSkew.Milliseconds() {
			return true
		}
	}
	return unknown > dueTail
}

// readSnapshot reads a snapshot's segments in parallel, and its manifest where s
// is nil. With an error, what could be read of it is known all the same.
func (l *Log) readSnapshot(budget *budget, from blobs, tag revision.Tag, s *snapshot, wanted map[revision.Tag]bool) (*snapshot, error) {
	ctx := budget.ctx
	if s == nil {
		descriptor, manifest, err := l.target.Manifest(ctx, tag.String())
		if err != nil {
			return nil, err
		}
		if s, err = parseSnapshot(tag, descriptor.Digest, manifest); err != nil {
			return nil, err
		}
	}
	faults := make([]error, len(s.segments))
	records := 0
	group := errgroup.Group{}
	group.SetLimit(writeSegments)
	for i, d := range s.segments {
		group.Go(func() error {
			if err := l.readSegment(budget, from, d, wanted); err != nil {
				faults[i] = fmt.Errorf("segment %s: %w", d.Digest, err)
			}
			return nil
		})
	}
	_ = group.Wait() // faults are collected: one bad segment does not spoil the others
	l.known.mu.Lock()
	for _, d := range s.segments {
		if read := l.known.segments[d.Digest]; read != nil {
			records += read.records
		}
	}
	l.known.mu.Unlock()
	err := errors.Join(faults...)
	if records == 0 {
		return nil, cmp.Or(err, errEmpty)
	}
	return s, err
}
