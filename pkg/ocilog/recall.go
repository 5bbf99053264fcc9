package ocilog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Recall returns the log as the cache holds it: as the last process left it,
// without asking the target which tags there are. The error is an
// entry.ErrNotFound if the cache does not hold all of it.
func (l *Log) Recall(ctx context.Context) (*View, error) {
	l.restore()
	missing := func(what string) error {
		return fmt.Errorf("recall %s: %w: %s in the cache", l.id, entry.ErrNotFound, what)
	}
	l.mu.Lock()
	known := l.remembered
	view := newView(l)
	view.snapshot = &snapshot{}
	for tag := range l.tail {
		view.tags = append(view.tags, tag)
	}
	l.mu.Unlock()
	if known == nil && len(view.tags) == 0 {
		return nil, missing("nothing")
	}
	if known != nil {
		for _, segment := range known.segments {
			if _, ok := l.options.Cache.segment(segment.Digest); !ok {
				return nil, missing("a segment is not")
			}
		}
		if err := l.scanAll(ctx, known, nil); err != nil { // which tags there are
			return nil, err
		}
		view.snapshot = known
		for tag := range known.where {
			view.tags = append(view.tags, tag)
		}
	}
	slices.SortFunc(view.tags, entry.Tag.Compare)
	view.tags = slices.Compact(view.tags)
	if known != nil {
		wanted := map[entry.Tag]bool{}
		for _, tag := range entry.NewReplay(view.tags, time.Time{}).Undecided() {
			wanted[tag] = true
		}
		if err := l.scanAll(ctx, known, wanted); err != nil { // what they hold
			return nil, err
		}
		l.mu.Lock()
		l.snapshot = known
		l.mu.Unlock()
	}
	if tag, ok := l.recallStatus(); ok {
		view.statuses = []entry.Tag{tag}
	}
	return view, nil
}

// recallStatus finds the tag of the status artifact in the cache.
func (l *Log) recallStatus() (entry.Tag, bool) {
	text, ok := l.options.Cache.state(l.statusID())
	if !ok {
		return entry.Tag{}, false
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil {
		return entry.Tag{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, manifest.Annotations[ocispec.AnnotationCreated])
	return entry.StatusTag(entry.NewTime(at), digest.FromBytes(text)), err == nil
}
