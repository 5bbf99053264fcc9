package ocilog

import (
	"context"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// maxGuess bounds the revisions that are fetched beside the newest snapshot.
const maxGuess = 2 * dueTail

// guess begins to fetch what the newest snapshot most likely has no record of, the
// wanted revisions that are dated after it, so that they come beside it and not after
// it. Call the result once the snapshot was read: it was a guess, and only that says what
// is covered. What could not be had is asked for again where it is needed.
func (l *Log) guess(ctx context.Context, view *View, wanted map[revision.Tag]bool) (take func()) {
	tags := l.likelyTail(view, wanted)
	manifests := make([][]byte, len(tags))
	within, cancel := context.WithCancel(ctx)
	group := errgroup.Group{}
	group.SetLimit(l.options.Parallel)
	done := make(chan struct{})
	fetch := func() {
		defer close(done)
		for i, tag := range tags {
			group.Go(func() error {
				if _, manifest, err := l.target.Manifest(within, tag.String()); err == nil && tag.Names(digest.FromBytes(manifest)) {
					manifests[i] = manifest
				}
				return nil
			})
		}
		_ = group.Wait() // never fails
	}
	if l.options.Parallel == 1 {
		fetch()
	} else {
		go fetch()
	}
	return func() {
		<-done
		cancel()
		for i, manifest := range manifests {
			if manifest != nil {
				l.known.cacheManifest(tags[i], digest.FromBytes(manifest), manifest)
			}
		}
	}
}

// likelyTail returns the wanted revisions that are dated after the newest snapshot, if
// that is to be read, and are not at hand.
func (l *Log) likelyTail(view *View, wanted map[revision.Tag]bool) (tags []revision.Tag) {
	if len(view.snapshots) == 0 {
		return nil
	}
	newest := view.snapshots[len(view.snapshots)-1]
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	for _, s := range l.snapshots {
		if s.tag == newest && s.read {
			return nil
		}
	}
	now := l.options.Now()
	for i := len(view.listed) - 1; i >= 0 && view.listed[i].Millis >= newest.Millis && len(tags) < maxGuess; i-- {
		tag := view.listed[i]
		if f := l.known.facts[tag]; wanted[tag] && (f == nil || f.manifest == nil && f.kind != foreign && now.Sub(f.mismatched) >= mismatchFor) {
			tags = append(tags, tag)
		}
	}
	return tags
}
