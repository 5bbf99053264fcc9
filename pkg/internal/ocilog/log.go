package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Options configure a Log. The zero value works.
type Options struct {
	// Revisions bounds the decoded revisions kept in memory; 0 is 20,000.
	Revisions int
	// Cache holds segments and manifests across processes; nil: nothing does.
	Cache *Cache
	// State records across processes which heads were seen; nil: only the Log
	// itself does.
	State *State
	// Parallel bounds the requests of one operation under way; 0 is 16.
	Parallel int
	// Visible bounds how long Append waits for its tag to show up; 0 is 30s.
	Visible time.Duration
	// Recheck is how long a registry has to say again that a tag is not there
	// before it is believed; 0 is 2s.
	Recheck time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Signatures: those that snapshots carry are held for Log.Signatures.
	Signatures bool
	// Decoded is told of each revision that is decoded from a snapshot, with
	// the signatures beside it, while others are still being decoded. It may
	// be called from several goroutines at once; nil ignores them.
	Decoded func(revision *revision.Revision, signatures []jsontext.Value)
	// Lookup finds the signatures of a revision that are in the registry and
	// not known here, for the next snapshot to carry; nil looks for none. It
	// is asked of the revisions that the snapshot adds, Parallel at a time.
	Lookup func(ctx context.Context, tag revision.Tag, manifest digest.Digest) [][]byte
	// NormalReference returns the normal form of the reference of an image. It makes
	// the hashes of snapshots (SPEC section 8); nil writes and reads none.
	NormalReference func(reference string) string
	// Whole is how many bytes of segments are read at most for the sake of some names,
	// where there are hashes to read instead; 0 is 128 KiB.
	Whole int64
	// HasEntrySignatures reports whether a revision has the signatures of its own
	// that the policy in force wants, whatever that wants of the image; nil is no
	// policy. Only such a revision may be dated far ahead, and be missed by a reader
	// who never saw it. It may be called from several goroutines at once.
	HasEntrySignatures func(ctx context.Context, revision *revision.Revision) bool
}

// Log is the revision log of one catalog. It is safe for concurrent use.
type Log struct {
	target             Target // with the cache in front of it
	id                 string
	options            Options
	cache, statusCache cacheFile // what is known of the log; the manifest of the newest status
	decoded            *lru.Cache[digest.Digest, *revision.Revision]
	known              *knowledge

	restoring sync.Once
	saving    sync.Mutex             // guards saved, and the order of writes
	saved     map[revision.Tag]saved // what the state has

	reading    chan struct{}          // taken by the one that reads snapshots: the next finds what it found
	unreadable map[revision.Tag]error // snapshots, for good; guarded by reading
	scanning   chan struct{}          // taken by those that decompress segments
	memory     *semaphore.Weighted    // of segments that are being read

	// Guarded by known.mu.
	snapshots []*snapshot                // that were read, or are in the cache; oldest first
	fetched   *snapshot                  // of which only the manifest was read
	hashes    *hashes                    // of the newest snapshot of which they were read
	newest    revision.Tag               // the newest snapshot that was seen
	forgotten map[string]int64           // see State
	statuses  Statuses                   // the newest ones read
	locations map[revision.Tag]Locations // of artifacts that were read and are whole
}

// New makes the log of a target. id is the normal form of its reference: it
// names the target among others in the cache and the state, and is what the
// documents published here call it. Nothing is asked of the target yet.
func New(target Target, id string, options Options) *Log {
	options.Revisions = cmp.Or(max(options.Revisions, 0), 20_000)
	options.Parallel = cmp.Or(max(options.Parallel, 0), 16)
	options.Whole = cmp.Or(max(options.Whole, 0), 128<<10)
	options.Visible = cmp.Or(max(options.Visible, 0), 30*time.Second)
	options.Recheck = cmp.Or(max(options.Recheck, 0), 2*time.Second)
	if options.Now == nil {
		options.Now = time.Now
	}
	decoded, err := lru.New[digest.Digest, *revision.Revision](options.Revisions)
	if err != nil {
		panic("ocilog: " + err.Error()) // only a size below 1, which cannot be
	}
	return &Log{
		target: options.Cache.wrap(target), id: id, options: options, decoded: decoded,
		cache: options.Cache.file(id), statusCache: options.Cache.file(id + " status"),
		known: newKnowledge(), saved: map[revision.Tag]saved{},
		reading: make(chan struct{}, 1), unreadable: map[revision.Tag]error{},
		scanning: make(chan struct{}, min(runtime.GOMAXPROCS(0), 4)), memory: semaphore.NewWeighted(maxSegmentBytes),
	}
}

// Append writes a revision: its blobs, then its manifest, under a tag of its own,
// and returns once the registry shows that tag to readers. The tag comes last
// and commits: sign, where it is not nil, is called while the manifest is there
// and no reader sees it, and if it fails there is no revision. A call that failed
// or was killed left either no revision or a whole one, and may be repeated. If
// the tag does not show up in time, the error is an entry.ErrTimeout: the
// revision is written, and readers will see it later. Where the clocks of this
// machine and the registry are too far apart, it is a *ClockError.
func (l *Log) Append(ctx context.Context, packed *revision.Packed, sign func(context.Context) error) error {
	return l.append(ctx, packed, sign, l.awaitVisible)
}

// AppendListed is Append, and beside reading the tag back lists all tags, for
// Settling.Listed: nil where the revision is not among them yet.
func (l *Log) AppendListed(ctx context.Context, packed *revision.Packed, sign func(context.Context) error) (listed []string, err error) {
	err = l.append(ctx, packed, sign, func(ctx context.Context, packed *revision.Packed) error {
		var group errgroup.Group
		within, cancel := context.WithCancel(ctx)
		defer cancel()
		group.Go(func() error {
			if all, err := l.target.Tags(within); err == nil && slices.Contains(all, packed.Tag.String()) {
				listed = all
			}
			return nil
		})
		if err := l.awaitVisible(ctx, packed); err != nil {
			cancel()
			_ = group.Wait()
			return err
		}
		return group.Wait()
	})
	return listed, err
}

func (l *Log) append(ctx context.Context, packed *revision.Packed, sign func(context.Context) error, readBack func(context.Context, *revision.Packed) error) error {
	l.restore(ctx)
	if err := l.CheckClock(); err != nil {
		return err
	}
	if err := l.put(ctx, packed, sign); err != nil {
		return err
	}
	if err := readBack(ctx, packed); err != nil {
		return err
	}
	l.wrote(packed, valid)
	if sign != nil {
		l.confirmOwn(ctx, packed)
	}
	_ = l.Save(ctx) // it is published; the next reading says what could not be written down
	return nil
}

// push writes an artifact, and returns once the registry shows its tag.
func (l *Log) push(ctx context.Context, packed *revision.Packed, sign func(context.Context) error) error {
	if err := l.put(ctx, packed, sign); err != nil {
		return err
	}
	return l.awaitVisible(ctx, packed)
}

// put writes an artifact, signs it, and puts it under its tag.
func (l *Log) put(ctx context.Context, packed *revision.Packed, sign func(context.Context) error) error {
	group, within := errgroup.WithContext(ctx)
	for _, blob := range packed.Blobs {
		group.Go(func() error { return l.target.PushBlob(within, blob.Descriptor, blob.Content) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if sign != nil {
		if err := l.target.PushManifest(ctx, packed.Descriptor, packed.Manifest, packed.Descriptor.Digest.String()); err != nil {
			return err
		}
		if err := sign(ctx); err != nil {
			return err
		}
	}
	return l.target.PushManifest(ctx, packed.Descriptor, packed.Manifest, packed.Tag.String())
}

// wrote notes a revision that the registry shows.
func (l *Log) wrote(packed *revision.Packed, what kind) {
	l.known.cacheManifest(packed.Tag, packed.Descriptor.Digest, packed.Manifest)
	l.known.record(packed.Tag, packed.Descriptor.Digest, what)
	l.known.saw(packed.Tag)
}

// confirmOwn notes it if what was just signed has the signatures that the policy in
// force wants of an entry: it is missed once it is absent, even if all that a reader
// saw since was a stranger's.
func (l *Log) confirmOwn(ctx context.Context, packed *revision.Packed) {
	if l.options.HasEntrySignatures == nil {
		return
	}
	if revision, err := revision.Unpack(packed.Tag, packed.Manifest); err == nil && l.options.HasEntrySignatures(ctx, revision) {
		l.Confirm(packed.Tag)
	}
}

// awaitVisible asks for the tag until the registry has it: some show a write
// to readers seconds later (SPEC section 11).
func (l *Log) awaitVisible(ctx context.Context, packed *revision.Packed) error {
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
		if pause.For(within, wait) != nil {
			return fmt.Errorf("read back %s: %w: it is written, but the registry does not show it yet", packed.Tag, entry.ErrTimeout)
		}
	}
}
