package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Condition is what Examine finds of a tag.
type Condition string

// The conditions of what is not whole.
const (
	Damaged Condition = "damaged" // it is listed, and what it holds is gone, altered or incomplete
	Lost    Condition = "lost"    // it was there once, and is not; of a name only the head and the last removal can be
	Unclear Condition = "unknown" // the registry did not answer
)

// Examined is a revision, or a snapshot, that is not whole.
type Examined struct {
	Tag       revision.Tag
	Condition Condition
	Err       error   // what is wrong
	Record    *Record // what is at hand to write it again; nil for nothing
	Verified  bool    // it had the signatures that a policy wants of an entry
	Unproven  error   // why the record may not be written again
}

// Examination is what Examine finds.
type Examination struct {
	View      *View
	Revisions int        // that are listed
	Faults    []Examined // of revisions, in log order
	Snapshots []Examined // of the newest one, which readers take
	Artifacts []Artifact // beside the log that cannot be read
	// Heads are the last revisions of all names that are there, or at hand, by name.
	Heads []*revision.Revision
}

// Artifact is something beside the log, such as a status, that is not whole.
type Artifact struct {
	Tag       string
	Condition Condition
	Err       error
}

// Source is another log that may have what this one lost.
type Source struct {
	Name string // for people
	View *View
	// Signatures returns those of a revision that are in the registry of the source.
	Signatures func(ctx context.Context, manifest digest.Digest) []jsontext.Value
}

// ExamineOptions say what a log may be mended from, beside snapshots and caches.
type ExamineOptions struct {
	Sources []Source
	// Attached are revisions that are known to be of this catalog, and proven.
	Attached []Record
	// Prove says why a revision may not be written again by who did not make it; nil
	// lets all be. It may be called from several goroutines at once.
	Prove func(ctx context.Context, revision *revision.Revision, signatures []jsontext.Value) error
}

// Examine reads every revision that the registry lists, and looks for each blob that
// it names, and for the last revisions of each name that are known and not listed.
// Nothing is taken from caches but what could mend the log. What the registry says is
// not there, or altered, is asked for twice. An error means that the tags could not be
// listed, or that the time is over.
func (l *Log) Examine(ctx context.Context, options ExamineOptions) (*Examination, error) {
	view, err := l.ReadIncomplete(ctx)
	if err != nil {
		return nil, err
	}
	e := &examiner{log: l, view: view, options: options, from: l.target, faults: map[revision.Tag]*Examined{}, replay: map[string][]*revision.Revision{}, segments: map[digest.Digest]segmentLook{}}
	if cached, ok := l.target.(cachedTarget); ok {
		e.from = cached.Target
	}
	e.examine(ctx, view.listed)
	if err := e.examineUnlisted(ctx); err != nil {
		return nil, err
	}
	if err := e.addFromSources(ctx); err != nil {
		return nil, err
	}
	e.addAttached()
	snapshots := e.examineSnapshot(ctx)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	e.addRecords(ctx)
	found := &Examination{View: view, Revisions: len(view.listed), Snapshots: snapshots, Artifacts: e.examineBeside(ctx), Heads: e.heads()}
	for _, fault := range e.faults {
		f, _ := l.known.get(fault.Tag)
		fault.Verified = f.verified
		found.Faults = append(found.Faults, *fault)
	}
	slices.SortFunc(found.Faults, func(a, b Examined) int { return a.Tag.Compare(b.Tag) })
	view.saved(l.Save(ctx))
	return found, nil
}

// examiner is an examination under way.
type examiner struct {
	log      *Log
	view     *View
	options  ExamineOptions
	from     Target                        // without the cache
	blobs    sync.Map                      // blobLooks, by digest
	segments map[digest.Digest]segmentLook // that were read from there

	mu     sync.Mutex
	faults map[revision.Tag]*Examined
	replay map[string][]*revision.Revision // the last publication or removal of each name, and the last removal
}

// examine looks at revisions that are there, and once more at those that are
// not whole: a registry may be storing one at this moment.
func (e *examiner) examine(ctx context.Context, tags []revision.Tag) {
	for round := 0; len(tags) > 0 && ctx.Err() == nil; round++ {
		e.blobs.Clear()
		group := errgroup.Group{}
		group.SetLimit(e.log.options.Parallel)
		for _, tag := range tags {
			group.Go(func() error {
				e.look(ctx, tag)
				return nil
			})
		}
		_ = group.Wait() // never fails: each has its own fault
		if round == 1 {
			return
		}
		var again []revision.Tag
		for _, tag := range tags {
			if fault := e.faults[tag]; fault != nil && isDamage(fault.Err) {
				again = append(again, tag)
			}
		}
		if tags = again; len(tags) > 0 && pause.For(ctx, e.log.options.Recheck) != nil {
			return
		}
	}
}

// look reads the revision under a tag, and looks for its blobs.
func (e *examiner) look(ctx context.Context, tag revision.Tag) {
	_, manifest, err := e.from.Manifest(ctx, tag.String())
	var found *revision.Revision
	if sum := digest.FromBytes(manifest); err == nil && !tag.Names(sum) {
		err = &OverwrittenError{Tag: tag, Now: sum}
	}
	if err == nil {
		found, err = e.log.decode(tag, digest.FromBytes(manifest), manifest)
	}
	fault := &Examined{Tag: tag, Condition: Damaged, Err: err}
	if found != nil {
		if fault.Err = e.lookForBlobs(ctx, manifest); fault.Err != nil {
			fault.Record = &Record{Tag: tag, Manifest: manifest}
		}
	}
	switch {
	case fault.Err == nil:
		fault = nil
	case errors.Is(fault.Err, entry.ErrNotFound) && found == nil:
		fault.Err = fmt.Errorf("revision %s is listed, but the registry does not have it", tag)
	case !isDamage(fault.Err):
		fault.Condition = Unclear
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.faults, tag)
	if fault != nil {
		e.faults[tag] = fault
	}
	if found != nil {
		e.log.known.cacheManifest(tag, found.Digest, manifest)
		e.log.known.saw(tag)
		e.add(found)
	}
}

// isDamage reports whether an error says something of what is stored, and not only of
// the way there.
func isDamage(err error) bool {
	return errors.Is(err, absence.ErrAltered) || errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrMalformed)
}

// blobLook is what was found of a blob that several manifests may name.
type blobLook struct {
	once sync.Once
	err  error
}

// lookForBlobs reads what a manifest of the log names.
func (e *examiner) lookForBlobs(ctx context.Context, text []byte) error {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fmt.Errorf("%w: %v", entry.ErrMalformed, err)
	}
	for _, d := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		one, _ := e.blobs.LoadOrStore(d.Digest, new(blobLook))
		look := one.(*blobLook)
		look.once.Do(func() {
			_, look.err = e.from.Blob(ctx, ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
		})
		switch {
		case errors.Is(look.err, entry.ErrNotFound):
			return fmt.Errorf("the blob %s is gone: %w", d.Digest, entry.ErrNotFound)
		case look.err != nil:
			return fmt.Errorf("the blob %s: %w", d.Digest, look.err)
		}
	}
	return nil
}

// add keeps what may decide a name: its last revision, and its last removal. The
// caller holds the lock.
func (e *examiner) add(found *revision.Revision) {
	last := map[bool]*revision.Revision{} // by whether it is a removal
	for _, r := range append(e.replay[found.Tag.Name], found) {
		removal := r.Tag.Op == revision.OpRemove
		if last[removal] == nil || last[removal].Tag.Compare(r.Tag) < 0 {
			last[removal] = r
		}
	}
	kept := e.replay[found.Tag.Name][:0]
	for _, r := range last {
		kept = append(kept, r)
	}
	e.replay[found.Tag.Name] = kept
}

// heads returns the last revision of each name, by name.
func (e *examiner) heads() (heads []*revision.Revision) {
	for _, last := range e.replay {
		heads = append(heads, slices.MaxFunc(last, func(a, b *revision.Revision) int { return a.Tag.Compare(b.Tag) }))
	}
	slices.SortFunc(heads, func(a, b *revision.Revision) int { return strings.Compare(a.Tag.Name, b.Tag.Name) })
	return heads
}
