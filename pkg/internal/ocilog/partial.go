package ocilog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// A program that needs a few names does not read the segments of a large catalog: the
// tag list says which revisions these names have, and the hashes of the newest snapshot
// what it covers, and from where (SPEC section 10).

// maxDirect bounds the revisions that are fetched by themselves before the segments are
// read after all, and those that a snapshot may lack so that its hashes are used.
const maxDirect = 2 * dueTail

// hashes are those of a snapshot.
type hashes struct {
	of   *snapshot
	rows []row // of all segments, sorted
	view *View // that they were read for last; guarded by known.mu
}

// IsPartial reports whether the view was read for the sake of some names, without the
// segments of the snapshot.
func (v *View) IsPartial() bool { return v.hashes != nil }

// readHashes reads the hashes of the newest snapshot, if that spares reading its
// segments: nil says to read these. They are nowhere near proof, but neither is a
// snapshot. What would be asked about if its records were read sends the reader there:
// records of what is not listed, and revisions that it should cover.
func (l *Log) readHashes(ctx context.Context, view *View) *hashes {
	if l.options.NormalReference == nil || len(view.snapshots) == 0 {
		return nil
	}
	newest := view.snapshots[len(view.snapshots)-1]
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return nil
	}
	s := l.knownSnapshot(newest)
	l.known.mu.Lock()
	read, isRead := l.hashes, s != nil && s.read
	l.known.mu.Unlock()
	switch {
	case isRead, l.unreadable[newest] != nil:
		return nil
	case read == nil || read.of.tag != newest:
		var err error
		if read, err = l.fetchHashes(ctx, newest, s); err != nil || read == nil {
			return nil // whoever reads the segments says what is wrong
		}
		l.known.mu.Lock()
		l.hashes = read
		if l.newest.Compare(newest) < 0 {
			l.newest = newest
		}
		l.known.mu.Unlock()
	}
	if !read.fit(view) {
		return nil
	}
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	read.view = view
	return read
}

// fetchHashes fetches the manifest of a snapshot, unless s is it, and its hashes. nil
// says that the segments are to be read.
func (l *Log) fetchHashes(ctx context.Context, tag revision.Tag, s *snapshot) (*hashes, error) {
	budget, end := newBudget(ctx)
	defer end()
	if s == nil {
		descriptor, manifest, err := l.target.Manifest(budget.ctx, tag.String())
		if err == nil {
			s, err = parseSnapshot(tag, descriptor.Digest, manifest)
		}
		if err != nil {
			return nil, err
		}
		l.known.mu.Lock()
		l.fetched = s
		l.known.mu.Unlock()
	}
	if !l.saves(s) {
		return nil, nil
	}
	var mu sync.Mutex
	var texts [][]byte
	group, within := errgroup.WithContext(budget.ctx)
	group.SetLimit(min(writeSegments, l.options.Parallel))
	for _, segment := range s.segments {
		d := s.hashes[segment.Digest]
		group.Go(func() error {
			text, err := l.target.Blob(within, d)
			if err == nil && int64(len(text)) != d.Size {
				err = fmt.Errorf("%w: hashes of %d bytes, not %d", entry.ErrMalformed, len(text), d.Size)
			}
			mu.Lock()
			defer mu.Unlock()
			texts = append(texts, text)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return &hashes{of: s, rows: sortedRows(texts...)}, nil
}

// saves reports whether reading the hashes of a snapshot is less than reading its
// segments, as far as these are not at hand.
func (l *Log) saves(s *snapshot) bool {
	var segments, rows int64
	for _, d := range s.segments {
		of, has := s.hashes[d.Digest]
		if !has {
			return false
		}
		rows += of.Size / rowSize
		l.known.mu.Lock()
		read := l.known.segments[d.Digest]
		l.known.mu.Unlock()
		if read == nil && !l.options.Cache.has(d.Digest) {
			segments += d.Size
		}
	}
	return segments > l.options.Whole && rows <= maxRows && len(s.hashes) == len(s.segments)
}

// fit reports whether hashes may stand for the records of their snapshot in a view: all of
// these are listed, and of what is listed, only so much is not among them as writers
// leave before the next snapshot, and none of it from before this one.
func (h *hashes) fit(view *View) bool {
	listed := make([]uint32, 0, len(view.listed)+len(view.beyond))
	tail := 0
	for _, tag := range view.listed {
		listed = append(listed, tagHash(tag))
		if h.covers(tag) {
			continue
		}
		if tail++; tail > maxDirect || tag.Millis < h.of.tag.Millis-maxSkew.Milliseconds() {
			return false
		}
	}
	for _, tag := range view.beyond {
		listed = append(listed, tagHash(tag))
	}
	slices.Sort(listed)
	return !slices.ContainsFunc(h.rows, func(r row) bool {
		_, is := slices.BinarySearch(listed, r.tag())
		return !is
	})
}

// covers reports whether the snapshot has a record of a tag.
func (h *hashes) covers(tag revision.Tag) bool { return len(rowsOf(h.rows, tag)) > 0 }

// tailByHashes returns what the snapshot does not cover, by its hashes.
func (v *View) tailByHashes() []revision.Tag {
	return v.shown(func(tag revision.Tag, _ *fact) bool { return v.hashes.covers(tag) })
}

// HeadsFrom returns the revisions that decide the names under which an image was ever
// published from a reference, ordered by name: all heads, where the log was read whole.
func (v *View) HeadsFrom(ctx context.Context, reference string) ([]*revision.Revision, error) {
	if v.hashes == nil {
		return v.Heads(ctx, time.Time{})
	}
	names, err := v.namesFrom(ctx, reference)
	if err != nil {
		return nil, err
	}
	var tags []revision.Tag
	for _, tag := range v.tags {
		if names[tag.Name] {
			tags = append(tags, tag)
		}
	}
	replay, err := v.replay(ctx, tags, time.Time{}, v.revisions)
	if err != nil {
		return nil, err
	}
	return replay.Heads(), nil
}

// namesFrom returns the names of revisions that may publish from a reference: those that
// the hashes say it of, and of what they do not cover, those that do.
func (v *View) namesFrom(ctx context.Context, reference string) (map[string]bool, error) {
	l := v.log
	wanted := l.referenceHash(reference)
	names := map[string]bool{}
	var tail []revision.Tag
	for _, tag := range v.tags {
		rows := rowsOf(v.hashes.rows, tag)
		if len(rows) == 0 || tag == v.tags[len(v.tags)-1] {
			tail = append(tail, tag)
		}
		if slices.ContainsFunc(rows, func(r row) bool { return r.reference() == wanted }) {
			names[tag.Name] = true
		}
	}
	found, err := v.revisions(ctx, tail)
	if err != nil {
		return nil, err
	}
	for tag, r := range found {
		if l.rowOf(r).reference() == wanted {
			names[tag.Name] = true
		}
	}
	if len(tail) > 0 && found[tail[len(tail)-1]] != nil {
		v.compareSeen(ctx, found[tail[len(tail)-1]])
	}
	return names, nil
}

// ReadSignatures returns the signatures that snapshots carry of a revision. Where the
// newest one was not read for the sake of its hashes, it is read now: nobody else may have
// them. That is many requests for who has no cache, and not the first place to look.
func (l *Log) ReadSignatures(ctx context.Context, tag revision.Tag) []jsontext.Value {
	l.known.mu.Lock()
	h := l.hashes
	covered := h != nil && h.view != nil && h.covers(tag)
	l.known.mu.Unlock()
	if covered && len(l.SnapshotSignatures(tag)) == 0 {
		h.view.readSnapshots(ctx, nil)
		l.eachRecord(ctx, l.target, []revision.Tag{tag}, func(o validRecord) { l.recordSignatures(o.tag, o.signatures) })
	}
	return l.SnapshotSignatures(tag)
}
