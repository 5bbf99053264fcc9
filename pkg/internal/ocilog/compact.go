package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Annotations of a snapshot (SPEC section 8).
const (
	annotationRevisions = "vnd.caib.catalog.revisions"
	annotationPrevious  = "vnd.caib.catalog.previous"
)

// dueTail is how many uncovered revisions make a snapshot due, however many are
// covered: whoever reads without a cache asks for each of them.
const dueTail = 32

// part is a segment to be: the segments it merges, the last of which may be
// the uncovered tail (newTail).
type part struct {
	sources []int
	count   int
}

const newTail = -1

// plan tiers the segments of the next snapshot: each is at least twice as
// large as the one after it, so that few are rewritten and there are no more
// than writeSegments until some have reached writeRecords. counts are the
// records of the present segments in order, tail those that are new.
func plan(counts []int, tail int) []part {
	var parts []part
	for i, count := range counts {
		parts = append(parts, part{sources: []int{i}, count: count})
	}
	parts = append(parts, part{sources: []int{newTail}, count: tail})
	for n := len(parts); n > 1; n = len(parts) {
		a, b := parts[n-2], parts[n-1]
		if a.count >= 2*b.count && n <= writeSegments || a.count+b.count > writeRecords {
			break
		}
		parts = append(parts[:n-2], part{sources: append(slices.Clone(a.sources), b.sources...), count: a.count + b.count})
	}
	return parts
}

// Compact writes a snapshot if one is due: if there are 32 revisions that the newest
// one has no record of. It reports whether it wrote one. A catalog is whole without it.
func (l *Log) Compact(ctx context.Context, view *View) (bool, error) {
	if view.hashes != nil {
		if len(view.tailByHashes()) < dueTail {
			return false, nil
		}
		view.readSnapshots(ctx, nil)
		l.known.saw(view.listed...)
	}
	base, covered := l.base()
	behind := l.behind(view, base, covered)
	tail := l.uncovered(view, base)
	if behind+len(tail) < dueTail {
		return false, nil
	}
	tail, err := l.readable(ctx, view, tail)
	if err != nil || behind+len(tail) < dueTail {
		_ = l.Save(ctx) // what holds no revision is not asked for again
		return false, err
	}
	c := &compaction{log: l, view: view, base: base, tail: tail, written: map[revision.Tag]bool{}}
	if err := c.run(ctx); err != nil {
		return false, fmt.Errorf("snapshot: %w", err)
	}
	_ = l.Save(ctx) // the snapshot is written all the same
	return true, nil
}

// base returns the snapshot to continue, with its readable segments only, and
// how many records they have.
func (l *Log) base() (base *snapshot, covered int) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	most := l.most(l.snapshots)
	if most == nil {
		return &snapshot{}, 0
	}
	base = &snapshot{tag: most.tag, digest: most.digest, hashes: most.hashes}
	for _, d := range most.segments {
		if read := l.known.segments[d.Digest]; read != nil && read.fault == nil && read.records > 0 {
			base.segments = append(base.segments, d)
		}
	}
	return base, l.carries(base)
}

// behind returns how many of the records of the base the newest snapshot lacks:
// all of them where it cannot be read, none where it is the base.
func (l *Log) behind(view *View, base *snapshot, covered int) int {
	if len(view.snapshots) == 0 {
		return 0
	}
	last := view.snapshots[len(view.snapshots)-1]
	newest := l.snapshot(last)
	if base.tag.Compare(last) >= 0 {
		return 0
	}
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	lacking := 0
	for _, f := range l.known.facts {
		if f.seen && slices.ContainsFunc(f.segments, base.has) && (newest == nil || !slices.ContainsFunc(f.segments, newest.has)) {
			lacking++
		}
	}
	return min(lacking, covered)
}

// uncovered returns the revisions that a snapshot does not cover, in log order.
func (l *Log) uncovered(view *View, base *snapshot) []revision.Tag {
	return view.shown(func(_ revision.Tag, f *fact) bool { return f != nil && slices.ContainsFunc(f.segments, base.has) })
}

// shown returns the revisions that the registry lists, and what it showed this reader
// otherwise, in log order, without those that drop drops, and what is none. drop is
// called while what is known is locked, with nil for a tag of which nothing is known.
func (v *View) shown(drop func(revision.Tag, *fact) bool) []revision.Tag {
	known := v.log.known
	known.mu.Lock()
	tags := slices.Clone(v.listed)
	for tag, f := range known.facts {
		if f.seen && !f.absent {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	tags = slices.DeleteFunc(slices.Compact(tags), func(tag revision.Tag) bool {
		f := known.facts[tag]
		return f != nil && f.kind == foreign || drop(tag, f)
	})
	known.mu.Unlock()
	return slices.DeleteFunc(tags, v.isNone)
}

// readable returns the tags whose manifests are those that they were made for,
// fetching what was never seen.
func (l *Log) readable(ctx context.Context, view *View, tags []revision.Tag) ([]revision.Tag, error) {
	there := make([]bool, len(tags))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(l.options.Parallel)
	for i, tag := range tags {
		group.Go(func() error {
			switch f, _ := l.known.get(tag); {
			case f.digest != "":
				there[i] = true
				return nil
			case l.options.Now().Sub(f.mismatched) < mismatchFor:
				view.notRevision(tag, &OverwrittenError{Tag: tag})
				return nil
			}
			_, _, err := l.fetch(within, tag)
			if errors.Is(err, entry.ErrMalformed) || errors.Is(err, entry.ErrNotFound) {
				view.notRevision(tag, err)
				return nil
			}
			there[i] = err == nil
			return err
		})
	}
	err := group.Wait()
	var readable []revision.Tag
	for i, tag := range tags {
		if there[i] {
			readable = append(readable, tag)
		}
	}
	return readable, err
}

// WriteSnapshot writes a snapshot, whether one is due or not, of what the registry
// shows: it continues no segment that Examine found to be damaged.
func (l *Log) WriteSnapshot(ctx context.Context, view *View) error {
	base, _ := l.base()
	tail, err := l.readable(ctx, view, l.uncovered(view, base))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	c := &compaction{log: l, view: view, base: base, tail: tail, written: map[revision.Tag]bool{}, fresh: true}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	_ = l.Save(ctx) // the snapshot is written all the same
	return nil
}
