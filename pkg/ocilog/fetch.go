package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
)

// cached returns a decoded revision from memory, or nil.
func (l *Log) cached(tag entry.Tag) *entry.Revision {
	l.mu.Lock()
	known, ok := l.genuine[tag]
	l.mu.Unlock()
	if !ok {
		return nil
	}
	// The same manifest may stand under another tag too: there it is none.
	if revision, ok := l.decoded.Get(known.digest); ok && revision.Tag == tag {
		return revision
	}
	return nil
}

// forget drops a revision that the registry no longer has, and returns its
// manifest where it was held. Its signatures stay known to this process.
func (l *Log) forget(tag entry.Tag) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	manifest, held := l.tail[tag]
	if held || l.added[tag] {
		delete(l.tail, tag)
		delete(l.added, tag)
		l.dirty = true
	}
	return manifest
}

// discard forgets a snapshot that only the cache knows, once it turned out that
// what the registry does not list of it is not there either: the repository was
// emptied, or is another one by now.
func (l *Log) discard(listed []entry.Tag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapshot != nil && !slices.Contains(listed, l.snapshot.tag) {
		l.snapshot, l.remembered, l.dirty = nil, nil, true
	}
}

// fromMemory takes what is decoded already, or held as a manifest, and returns
// the rest.
func (v *View) fromMemory(want []entry.Tag, found map[entry.Tag]*entry.Revision) (missing []entry.Tag) {
	for _, tag := range want {
		if revision := v.log.cached(tag); revision != nil {
			found[tag] = revision
			continue
		}
		v.log.mu.Lock()
		manifest, held := v.log.tail[tag]
		v.log.mu.Unlock()
		if !held {
			missing = append(missing, tag)
			continue
		}
		v.take(tag, digest.FromBytes(manifest), manifest, found)
	}
	return missing
}

// take decodes a genuine manifest into found, or reports why it is no
// revision.
func (v *View) take(tag entry.Tag, sum digest.Digest, manifest []byte, found map[entry.Tag]*entry.Revision) {
	revision, err := v.log.learn(tag, sum, manifest)
	if err != nil {
		v.warn(tag.String(), fmt.Errorf("ignored: %w", err))
		v.setGone(tag)
		return
	}
	found[tag] = revision
}

// fromSnapshot takes what the snapshot has records of, and returns the rest.
func (v *View) fromSnapshot(ctx context.Context, want []entry.Tag, found map[entry.Tag]*entry.Revision) (missing []entry.Tag) {
	v.log.mu.Lock()
	snapshot := v.log.snapshot
	v.log.mu.Unlock()
	if snapshot == nil {
		return want
	}
	bySegment := map[int]map[entry.Tag]bool{}
	for _, tag := range want {
		if i, ok := snapshot.where[tag]; ok {
			if bySegment[i] == nil {
				bySegment[i] = map[entry.Tag]bool{}
			}
			bySegment[i][tag] = true
		}
	}
	for i, wanted := range bySegment {
		blob, err := v.log.segment(ctx, snapshot.segments[i])
		if err != nil {
			continue // a cache fault: the target has them all
		}
		for n, err := range lines(blob) {
			if err != nil {
				break
			}
			if !wanted[n.tag] {
				continue
			}
			if o, err := n.open(); err == nil {
				v.take(n.tag, o.digest, o.manifest, found)
				v.log.learnSignatures(n.tag, o.signatures)
			}
		}
	}
	for _, tag := range want {
		if found[tag] == nil && !v.isGone(tag) {
			missing = append(missing, tag)
		}
	}
	return missing
}

// fromTarget fetches tags one by one, some at a time.
func (v *View) fromTarget(ctx context.Context, want []entry.Tag, found map[entry.Tag]*entry.Revision) error {
	var mu sync.Mutex
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(v.log.options.Parallel)
	for _, tag := range want {
		group.Go(func() error {
			manifest, sum, err := v.log.fetch(within, tag)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, entry.ErrNotFound):
				v.warn(tag.String(), fmt.Errorf("revision %s is listed, but the registry does not have it", tag))
				v.setGone(tag)
				return nil
			case errors.Is(err, entry.ErrInvalid):
				v.warn(tag.String(), fmt.Errorf("ignored: %w", err))
				v.setGone(tag)
				return nil
			case err != nil:
				return err
			}
			v.take(tag, sum, manifest, found)
			return nil
		})
	}
	return group.Wait()
}

// Text returns the exact document of a revision. It is not kept in memory: only
// rewriting an entry needs it.
func (l *Log) Text(ctx context.Context, tag entry.Tag) ([]byte, error) {
	l.mu.Lock()
	manifest, held := l.tail[tag]
	l.mu.Unlock()
	if !held {
		var err error
		if manifest, _, err = l.fetch(ctx, tag); err != nil {
			return nil, err
		}
	}
	return entry.Text(manifest)
}

// fetch returns the manifest that stands under a tag, if it is the one that
// the tag was made for; an entry.ErrInvalid if it is another.
func (l *Log) fetch(ctx context.Context, tag entry.Tag) ([]byte, digest.Digest, error) {
	_, manifest, err := l.target.Manifest(ctx, tag.String())
	if err != nil {
		return nil, "", err
	}
	sum := digest.FromBytes(manifest)
	if !tag.Names(sum) {
		return nil, "", fmt.Errorf("%w: revision %s: the manifest's digest is %s", entry.ErrInvalid, tag, sum)
	}
	l.keep(tag, sum, manifest)
	return manifest, sum, nil
}
