package ocilog

import (
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
)

// knowledge is what a reader knows of the tags of one log. It only grows, until
// the registry itself says otherwise (SPEC section 10): no snapshot, tag list or
// cache that holds less takes anything away. It is safe for concurrent use; what
// is in it is read and changed under its lock only.
type knowledge struct {
	mu       sync.Mutex
	facts    map[revision.Tag]*fact
	segments map[digest.Digest]*segment // that were read
	held     int                        // manifests in facts
	bytes    int                        // of them
	added    int                        // facts with added signatures

	carriedBytes int  // of signatures from snapshots
	changed      bool // what the cache keeps of it
}

// fact is what is known of one tag.
type fact struct {
	// digest is that of the manifest the tag was made for, once it was seen:
	// the whole of what the tag has 16 digits of. It never changes.
	digest   digest.Digest
	kind     kind
	segments []digest.Digest // that claim a record of it, the latest last
	manifest []byte          // held, because no snapshot carries it yet

	seen     bool // this reader saw the tag in the registry, or wrote it
	absent   bool // then the registry said twice that it is not there
	verified bool // it had the signatures that a policy wants of an entry
	// decoded says that it was decoded as a revision, by this process or by the
	// one that wrote the state: junk and copies are no heads.
	decoded bool
	// mismatched is when the tag held other bytes than it was made for;
	// they are not asked for again at once, and may be put right.
	mismatched time.Time

	signatures []jsontext.Value // from snapshots
	added      []jsontext.Value // made or found here, and in no snapshot yet
}

// kind says what the manifest under a tag is.
type kind uint8

const (
	unread  kind = iota // it was not decoded
	valid               // a revision of this format
	later               // a revision of a later format
	foreign             // it has the tag's hash, and is no revision: for ever
)

// isKnown reports whether anything says that the tag is that of a manifest: it was
// seen, or a segment claims a record of it.
func (f *fact) isKnown() bool {
	return f.digest != "" || f.manifest != nil || len(f.segments) > 0
}

// mismatchFor is how long other bytes under a tag are known.
const mismatchFor = 10 * time.Minute

func newKnowledge() *knowledge {
	return &knowledge{facts: map[revision.Tag]*fact{}, segments: map[digest.Digest]*segment{}}
}

// of returns the fact of a tag, a new one if there is none. The caller holds
// the lock.
func (k *knowledge) of(tag revision.Tag) *fact {
	f := k.facts[tag]
	if f == nil {
		f = &fact{}
		k.facts[tag] = f
	}
	return f
}

// get returns a copy of what is known of a tag.
func (k *knowledge) get(tag revision.Tag) (fact, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.facts[tag]; f != nil {
		return *f, true
	}
	return fact{}, false
}

// cacheManifest keeps a valid manifest that was fetched or written by itself, within
// bounds. It reports false if the tag is known with another digest: two
// manifests with one hash, of which the first counts.
func (k *knowledge) cacheManifest(tag revision.Tag, sum digest.Digest, manifest []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.of(tag)
	if f.digest != "" && f.digest != sum {
		return false
	}
	f.digest, f.mismatched = sum, time.Time{}
	if f.manifest != nil || k.carried(f) || k.held >= maxHeld || k.bytes+len(manifest) > maxHeldBytes {
		return true
	}
	f.manifest, k.changed = manifest, true
	k.held, k.bytes = k.held+1, k.bytes+len(manifest)
	return true
}

// drop lets go of a held manifest. The caller holds the lock.
func (k *knowledge) drop(f *fact) {
	if f.manifest != nil {
		k.held, k.bytes = k.held-1, k.bytes-len(f.manifest)
		f.manifest, k.changed = nil, true
	}
}

// carried reports whether a readable segment claims a record of the tag. The
// caller holds the lock.
func (k *knowledge) carried(f *fact) bool {
	for _, d := range f.segments {
		if s := k.segments[d]; s != nil && s.fault == nil {
			return true
		}
	}
	return false
}

// record notes what a valid manifest turned out to be. It reports false for a
// second digest under one tag.
func (k *knowledge) record(tag revision.Tag, sum digest.Digest, what kind) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.of(tag)
	if f.digest != "" && f.digest != sum {
		return false
	}
	f.digest, f.kind, f.decoded = sum, what, what != foreign
	return true
}

// isValid reports whether a tag is known to be that of a revision of this
// format.
func (k *knowledge) isValid(tag revision.Tag) bool {
	f, ok := k.get(tag)
	return ok && f.kind == valid
}

// heads returns, of each name, the latest revision that this reader saw in the
// registry, up to the horizon, and that is not known to be absent, among those
// that count. The caller holds the lock.
func (k *knowledge) heads(horizon int64, counts func(*fact) bool) map[string]revision.Tag {
	heads := map[string]revision.Tag{}
	for tag, f := range k.facts {
		if !f.seen || f.absent || f.kind == foreign || f.digest == "" || tag.Millis > horizon && !f.verified || !counts(f) {
			continue
		}
		if head, ok := heads[tag.Name]; !ok || head.Compare(tag) < 0 {
			heads[tag.Name] = tag
		}
	}
	return heads
}

// saw notes that the registry showed a tag.
func (k *knowledge) saw(tags ...revision.Tag) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, tag := range tags {
		if f := k.facts[tag]; f != nil {
			f.seen, f.absent = true, false
		}
	}
}
