package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Options configure a Log. The zero value works.
type Options struct {
	// Revisions bounds the decoded revisions kept in memory; 0 is 20,000.
	Revisions int
	// Cache keeps segments and manifests across processes; nil keeps none.
	Cache *Cache
	// Parallel bounds the requests of one operation under way; 0 is 16.
	Parallel int
	// Visible bounds how long Append waits for its tag to show up; 0 is 30s.
	Visible time.Duration
	// Now is the clock for the times of snapshots; nil is the system's.
	Now func() time.Time
	// Signatures keeps those that snapshots carry, for Log.Signatures.
	Signatures bool
	// Learned is told of each revision that is decoded from a snapshot, with
	// the signatures beside it, while others are still being decoded. It may
	// be called from several goroutines at once; nil ignores them.
	Learned func(revision *entry.Revision, signatures []jsontext.Value)
	// Lookup finds the signatures of a revision that are in the registry and
	// not known here, for the next snapshot to carry; nil looks for none. It
	// is asked of the revisions that the snapshot adds, Parallel at a time.
	Lookup func(ctx context.Context, tag entry.Tag, manifest digest.Digest) [][]byte
}

// Log is the revision log of one catalog. It is safe for concurrent use.
type Log struct {
	target  Target
	id      string
	options Options
	decoded *lru.Cache[digest.Digest, *entry.Revision]

	mu         sync.Mutex            // guards everything below
	genuine    map[entry.Tag]genuine // what is known of every manifest that is the one its tag was made for
	tail       map[entry.Tag][]byte  // manifests that no snapshot covers yet
	snapshot   *snapshot             // the newest one read; nil before the first
	restored   bool                  // the cache was looked at
	remembered *snapshot             // from the cache: its segments are not read yet
	dirty      bool                  // tail, snapshot or added differ from the cache's copy
	signatures map[entry.Tag][]jsontext.Value
	statuses   Statuses           // the newest ones read
	added      map[entry.Tag]bool // of signatures: some that no snapshot is known to carry
}

// genuine is what is known of a manifest that is the one its tag was made for,
// when it is not decoded.
type genuine struct {
	digest digest.Digest
	sound  bool // it was decoded once, and is a revision of this format
}

// maxTail bounds the manifests held for the next snapshot. Beyond it they are
// fetched again when they are needed.
const maxTail = 8192

// New makes the log of a target. id names the target among others in the
// cache: its reference. Nothing is asked of the target yet.
func New(target Target, id string, options Options) *Log {
	options.Revisions = cmp.Or(max(options.Revisions, 0), 20_000)
	options.Parallel = cmp.Or(max(options.Parallel, 0), 16)
	options.Visible = cmp.Or(max(options.Visible, 0), 30*time.Second)
	if options.Now == nil {
		options.Now = time.Now
	}
	decoded, err := lru.New[digest.Digest, *entry.Revision](options.Revisions)
	if err != nil {
		panic("ocilog: " + err.Error()) // only a size below 1, which cannot be
	}
	return &Log{
		target: target, id: id, options: options, decoded: decoded,
		genuine: map[entry.Tag]genuine{}, tail: map[entry.Tag][]byte{},
		signatures: map[entry.Tag][]jsontext.Value{}, added: map[entry.Tag]bool{},
	}
}

// Append writes a revision: its blobs, then its manifest under a tag of its
// own, and returns once the registry shows that tag to readers. A call that
// failed or was killed left either no revision or a whole one, and may be
// repeated. If the tag does not show up in time, the error is an
// entry.ErrTimeout: the revision is written, and readers will see it later.
func (l *Log) Append(ctx context.Context, packed *entry.Packed) error {
	l.restore()
	for _, blob := range packed.Blobs {
		if err := l.target.PushBlob(ctx, blob.Descriptor, blob.Content); err != nil {
			return err
		}
	}
	if err := l.target.PushManifest(ctx, packed.Descriptor, packed.Manifest, packed.Tag.String()); err != nil {
		return err
	}
	if err := l.awaitVisible(ctx, packed); err != nil {
		return err
	}
	l.keep(packed.Tag, packed.Descriptor.Digest, packed.Manifest)
	l.save()
	return nil
}

// awaitVisible asks for the tag until the registry has it: some show a write
// to readers seconds later (SPEC section 11).
func (l *Log) awaitVisible(ctx context.Context, packed *entry.Packed) error {
	within, cancel := context.WithTimeout(ctx, l.options.Visible)
	defer cancel()
	for wait := 25 * time.Millisecond; ; wait = min(wait*2, time.Second) {
		found, err := l.target.Resolve(within, packed.Tag.String())
		switch {
		case err == nil && found.Digest == packed.Descriptor.Digest:
			return nil
		case err == nil:
			return fmt.Errorf("%w: tag %s was overwritten with %s", entry.ErrConflict, packed.Tag, found.Digest)
		case ctx.Err() != nil:
			return fmt.Errorf("read back %s: %w", packed.Tag, err)
		case within.Err() == nil && !errors.Is(err, entry.ErrNotFound):
			return fmt.Errorf("read back %s: %w", packed.Tag, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-within.Done():
			timer.Stop()
			return fmt.Errorf("read back %s: %w: it is written, but the registry does not show it yet", packed.Tag, entry.ErrTimeout)
		}
	}
}

// keep remembers a genuine manifest that was fetched or written by itself.
func (l *Log) keep(tag entry.Tag, sum digest.Digest, manifest []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.genuine[tag] = genuine{sum, l.genuine[tag].sound}
	if _, known := l.tail[tag]; known || l.covers(tag) || len(l.tail) >= maxTail {
		return
	}
	l.tail[tag] = manifest
	l.dirty = true
}

// covers tells whether the newest snapshot has a record of tag. The caller
// holds the lock.
func (l *Log) covers(tag entry.Tag) bool {
	if l.snapshot == nil {
		return false
	}
	_, ok := l.snapshot.where[tag]
	return ok
}
