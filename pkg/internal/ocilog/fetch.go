package ocilog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// OverwrittenError says that a tag holds other bytes than those it was made
// for. It is an entry.ErrMalformed: they are no revision.
type OverwrittenError struct {
	Tag  revision.Tag
	Now  digest.Digest // what it holds; "" is not known any more
	Then digest.Digest // what it held before; "" is not known
}

func (e *OverwrittenError) Error() string {
	if e.Now == "" {
		return fmt.Sprintf("tag %s holds another manifest than it was made for", e.Tag)
	}
	if e.Then == "" {
		return fmt.Sprintf("tag %s holds another manifest, %s", e.Tag, e.Now)
	}
	return fmt.Sprintf("tag %s was overwritten: it held %s, and now %s", e.Tag, e.Then, e.Now)
}

// Is makes it an entry.ErrMalformed.
func (e *OverwrittenError) Is(target error) bool { return target == entry.ErrMalformed }

func (l *Log) overwritten(tag revision.Tag, now digest.Digest) error {
	f, _ := l.known.get(tag)
	return &OverwrittenError{Tag: tag, Now: now, Then: f.digest}
}

// cachedRevision returns a decoded revision from memory, or nil.
func (l *Log) cachedRevision(tag revision.Tag) *revision.Revision {
	f, ok := l.known.get(tag)
	if !ok || f.digest == "" {
		return nil
	}
	// Another tag may hold the same manifest too: there it is no revision.
	if revision, ok := l.decoded.Get(f.digest); ok && revision.Tag == tag {
		return revision
	}
	return nil
}

// find returns the revisions that tags hold, without tags that turn out to hold
// none. An error means that something could not be asked: then
// nothing can be said about any of them.
func (v *View) find(ctx context.Context, want []revision.Tag) (map[revision.Tag]*revision.Revision, error) {
	found := make(map[revision.Tag]*revision.Revision, len(want))
	missing := v.fromMemory(want, found)
	if v.hashes != nil && len(missing) > maxDirect {
		wanted := map[revision.Tag]bool{}
		for _, tag := range missing {
			wanted[tag] = true
		}
		v.readSnapshots(ctx, wanted)
		missing = v.fromMemory(missing, found)
	}
	missing = v.fromSegments(ctx, v.log.target, missing, found)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	return found, v.fromTarget(ctx, missing, found)
}

// fromMemory takes what is decoded already, or held as a manifest, and returns
// the rest.
func (v *View) fromMemory(want []revision.Tag, found map[revision.Tag]*revision.Revision) (missing []revision.Tag) {
	for _, tag := range want {
		if revision := v.log.cachedRevision(tag); revision != nil {
			found[tag] = revision
			continue
		}
		f, _ := v.log.known.get(tag)
		switch {
		case f.manifest != nil:
			v.decode(tag, digest.FromBytes(f.manifest), f.manifest, found)
		case f.kind == foreign:
			v.notRevision(tag, fmt.Errorf("%w: revision %s is none", entry.ErrMalformed, tag))
		case v.log.options.Now().Sub(f.mismatched) < mismatchFor:
			v.notRevision(tag, &OverwrittenError{Tag: tag})
		default:
			missing = append(missing, tag)
		}
	}
	return missing
}

// decode decodes a valid manifest into found, or notes that it is no revision.
func (v *View) decode(tag revision.Tag, sum digest.Digest, manifest []byte, found map[revision.Tag]*revision.Revision) {
	revision, err := v.log.decode(tag, sum, manifest)
	if err != nil {
		v.notRevision(tag, err)
		return
	}
	found[tag] = revision
}

// maxClaims bounds the segments that are looked into for one record.
const maxClaims = 4

// claim returns the i-th segment to look into, from both ends: the first is what
// was known before a forgery, the last one of what was read behind it. There must
// be more than i of them, or any for the first two.
func (f *fact) claim(i int) digest.Digest {
	if i%2 == 0 {
		return f.segments[len(f.segments)-1-i/2]
	}
	return f.segments[i/2]
}

// fromSegments decodes what snapshots have records of, and returns the rest.
func (v *View) fromSegments(ctx context.Context, from blobs, want []revision.Tag, found map[revision.Tag]*revision.Revision) (missing []revision.Tag) {
	return v.log.eachRecord(ctx, from, want, func(o validRecord) {
		v.decode(o.tag, o.digest, o.manifest, found)
		v.log.recordSignatures(o.tag, o.signatures)
	})
}

// eachRecord calls take with the valid records that snapshots have of some tags, and
// returns the rest. A claim that turns out to be false is dropped; one that could not be
// looked into stays.
func (l *Log) eachRecord(ctx context.Context, from blobs, want []revision.Tag, take func(validRecord)) (missing []revision.Tag) {
	for round := 0; len(want) > 0 && ctx.Err() == nil && round < maxClaims; round++ {
		claimed := map[digest.Digest]map[revision.Tag]bool{}
		for _, tag := range want {
			f, _ := l.known.get(tag)
			if len(f.segments) == 0 {
				missing = append(missing, tag)
				continue
			}
			d := f.claim(round % 2) // those before are dropped
			if claimed[d] == nil {
				claimed[d] = map[revision.Tag]bool{}
			}
			claimed[d][tag] = true
		}
		want = nil
		for d, tags := range claimed {
			records, err := l.openRecords(ctx, from, d, tags)
			for _, o := range records {
				if f, _ := l.known.get(o.tag); f.digest != "" && f.digest != o.digest {
					continue // another manifest of the same hash: what was seen first counts
				}
				take(o)
				delete(tags, o.tag)
			}
			for tag := range tags {
				if err != nil {
					missing = append(missing, tag)
					continue
				}
				l.known.disclaim(tag, d)
				want = append(want, tag)
			}
		}
	}
	return append(missing, want...)
}

// validRecord is an opened record with its tag.
type validRecord struct {
	tag revision.Tag
	opened
}

// openRecords returns the valid ones among some records of a segment. An error
// means that nobody looked for the others: the segment could not be had, for now,
// or there was no time. Its own faults are none: the target has all revisions.
func (l *Log) openRecords(ctx context.Context, from blobs, d digest.Digest, tags map[revision.Tag]bool) (all []validRecord, err error) {
	l.known.mu.Lock()
	read := l.known.segments[d]
	l.known.mu.Unlock()
	if read == nil {
		return nil, nil
	}
	blob, err := from.Blob(ctx, read.descriptor)
	if errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrMalformed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	budget, end := newBudget(ctx)
	defer end()
	for n, err := range lines(blob, budget) {
		if err != nil {
			break
		}
		if !tags[n.tag] {
			continue
		}
		if o, err := n.open(); err == nil {
			all = append(all, validRecord{n.tag, o})
		}
		if len(all) == len(tags) {
			break
		}
	}
	return all, ctx.Err()
}

// disclaim drops a segment's claim to have a record of a tag.
func (k *knowledge) disclaim(tag revision.Tag, d digest.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.facts[tag]
	if f == nil {
		return
	}
	for i, claimed := range f.segments {
		if claimed == d {
			f.segments = append(f.segments[:i:i], f.segments[i+1:]...)
			break
		}
	}
}

// fromTarget fetches and decodes tags one by one, some at a time.
func (v *View) fromTarget(ctx context.Context, want []revision.Tag, found map[revision.Tag]*revision.Revision) error {
	return v.eachFetched(ctx, want, func(tag revision.Tag, sum digest.Digest, manifest []byte) { v.decode(tag, sum, manifest, found) })
}

// eachFetched calls take with the manifests of some tags, one at a time. Tags that are not
// there, or hold another manifest than they were made for, are noted.
func (v *View) eachFetched(ctx context.Context, want []revision.Tag, take func(revision.Tag, digest.Digest, []byte)) error {
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
				v.notRevision(tag, fmt.Errorf("revision %s is listed, but the registry does not have it", tag))
				return nil
			case errors.Is(err, entry.ErrMalformed):
				v.notRevision(tag, err)
				return nil
			case err != nil:
				return err
			}
			take(tag, sum, manifest)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
		return err
	}
	return nil
}

// fetch returns the manifest that a tag was made for. One that was overwritten is
// looked for by its digest, where that is known; else it is an entry.ErrMalformed.
func (l *Log) fetch(ctx context.Context, tag revision.Tag) ([]byte, digest.Digest, error) {
	_, manifest, err := l.target.Manifest(ctx, tag.String())
	f, _ := l.known.get(tag)
	var sum digest.Digest
	if err == nil {
		sum = digest.FromBytes(manifest)
		if !tag.Names(sum) || f.digest != "" && f.digest != sum {
			err = &OverwrittenError{Tag: tag, Now: sum, Then: f.digest}
		}
	}
	if err != nil && f.digest != "" && (errors.Is(err, entry.ErrMalformed) || errors.Is(err, entry.ErrNotFound)) {
		if _, byDigest, failed := l.target.Manifest(ctx, f.digest.String()); failed == nil && digest.FromBytes(byDigest) == f.digest {
			manifest, sum, err = byDigest, f.digest, nil
		}
	}
	if err != nil {
		if errors.Is(err, entry.ErrMalformed) {
			l.known.mismatch(tag, l.options.Now())
		}
		return nil, "", err
	}
	l.known.cacheManifest(tag, sum, manifest)
	return manifest, sum, nil
}

// mismatch records for a while that a tag holds other bytes than it was made for.
func (k *knowledge) mismatch(tag revision.Tag, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.of(tag).mismatched, k.changed = now, true
}

// manifestAtHand returns a manifest without asking the registry, or nil.
func (l *Log) manifestAtHand(ctx context.Context, tag revision.Tag) []byte {
	f, _ := l.known.get(tag)
	if f.manifest != nil {
		return f.manifest
	}
	for i := range min(len(f.segments), maxClaims) {
		records, _ := l.openRecords(ctx, l.target, f.claim(i), map[revision.Tag]bool{tag: true})
		for _, o := range records {
			l.recordSignatures(tag, o.signatures)
			return o.manifest
		}
	}
	return nil
}

// Manifest returns the exact manifest of a revision: what is at hand, else what
// the registry has.
func (l *Log) Manifest(ctx context.Context, tag revision.Tag) ([]byte, error) {
	if manifest := l.manifestAtHand(ctx, tag); manifest != nil {
		return manifest, nil
	}
	manifest, _, err := l.fetch(ctx, tag)
	return manifest, err
}

// DocumentText returns the exact document of a revision. It is not kept in memory: only
// rewriting an entry needs it.
func (l *Log) DocumentText(ctx context.Context, tag revision.Tag) ([]byte, error) {
	manifest, err := l.Manifest(ctx, tag)
	if err != nil {
		return nil, err
	}
	return revision.DocumentText(manifest)
}
