package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// ReadCached returns the log as the cache holds it: as the last process left it,
// without a request to the target. The error is an
// entry.ErrNotFound if the cache does not hold all of it.
func (l *Log) ReadCached(ctx context.Context) (*View, error) {
	l.restore(ctx)
	from := onlyCached{l.options.Cache}
	missing := func(what string) error {
		return fmt.Errorf("read cached %s: %w: %s in the cache", l.id, entry.ErrNotFound, what)
	}
	l.known.mu.Lock()
	snapshots := slices.Clone(l.snapshots)
	l.known.mu.Unlock()
	budget, end := newBudget(ctx)
	defer end()
	for _, s := range snapshots {
		_, err := l.readSnapshot(budget, from, s.tag, s, nil) // which tags there are
		if errors.Is(err, errNotCached) {
			return nil, missing("a segment is not")
		}
		if err != nil {
			return nil, err
		}
		l.addSnapshot(s)
	}
	view := l.cachedView()
	if len(view.tags) == 0 {
		return nil, missing("nothing")
	}
	if tag, ok := l.cachedStatusTag(); ok {
		view.statuses = []revision.Tag{tag}
	}
	// What decides is decoded at once, segment by segment.
	found := map[revision.Tag]*revision.Revision{}
	want := revision.NewReplay(view.tags, time.Time{}).Undecided()
	if missed := view.fromSegments(ctx, from, view.fromMemory(want, found), found); len(missed) > 0 {
		return nil, missing(fmt.Sprintf("%s is not", missed[0]))
	}
	return view, nil
}

// cachedView makes a view of all that is known and not absent.
func (l *Log) cachedView() *View {
	view := l.emptyView()
	view.cached = true
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	for tag, f := range l.known.facts {
		if !f.absent && f.isKnown() {
			view.tags = append(view.tags, tag)
		}
	}
	slices.SortFunc(view.tags, revision.Tag.Compare)
	view.listed = view.tags
	return view
}

// cachedStatusTag finds the tag of the status artifact in the cache.
func (l *Log) cachedStatusTag() (revision.Tag, bool) {
	text, ok := l.statusCache.read()
	if !ok {
		return revision.Tag{}, false
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil {
		return revision.Tag{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, manifest.Annotations[ocispec.AnnotationCreated])
	return revision.StatusTag(entry.NewTime(at), digest.FromBytes(text)), err == nil
}
