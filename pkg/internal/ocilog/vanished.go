package ocilog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// setAbsent notes what the registry said is not there. What this reader saw
// there stays known, and so does what the policy verifies as of this catalog;
// any other claim is dropped. Checking a claim may ask the registry, so they are
// checked some at a time.
func (v *View) setAbsent(ctx context.Context, tags []revision.Tag) {
	group := errgroup.Group{}
	group.SetLimit(v.log.options.Parallel)
	for _, tag := range tags {
		group.Go(func() error {
			if v.log.isForeign(ctx, tag) {
				return nil
			}
			f, _ := v.log.known.get(tag)
			if f.digest == "" || !f.seen && !v.isOurs(ctx, tag) {
				v.notices.drop(tag)
				return nil
			}
			v.log.known.mu.Lock()
			defer v.log.known.mu.Unlock()
			known := v.log.known.of(tag)
			known.seen, known.absent = true, true
			v.log.known.changed = v.log.known.changed || known.manifest != nil
			return nil
		})
	}
	_ = group.Wait() // never fails: what cannot be checked is not ours
}

// isForeign reports whether what was seen under a tag is known to be no revision,
// such as a copy of one: then nothing is lost without it.
func (l *Log) isForeign(ctx context.Context, tag revision.Tag) bool {
	f, _ := l.known.get(tag)
	if f.kind == unread && f.digest != "" {
		if manifest := l.manifestAtHand(ctx, tag); manifest != nil {
			_, _ = l.decode(tag, digest.FromBytes(manifest), manifest) // notes what it is
			f, _ = l.known.get(tag)
		}
	}
	return f.kind == foreign
}

// isOurs reports whether a revision that this reader never saw in the registry
// has the signatures that the policy wants of an entry and names this catalog: then
// the registry had it once.
func (v *View) isOurs(ctx context.Context, tag revision.Tag) bool {
	l := v.log
	l.known.mu.Lock()
	until := max(l.forgotten[""], l.forgotten[tag.Name])
	l.known.mu.Unlock()
	if l.options.HasEntrySignatures == nil || tag.Millis <= until {
		return false
	}
	revision := l.knownRevision(ctx, tag)
	return revision != nil && revision.Catalog() == l.id && l.options.HasEntrySignatures(ctx, revision)
}

// knownRevision reads a revision without asking the registry, or nil.
func (l *Log) knownRevision(ctx context.Context, tag revision.Tag) *revision.Revision {
	if revision := l.cachedRevision(tag); revision != nil {
		return revision
	}
	revision, err := revision.Unpack(tag, l.manifestAtHand(ctx, tag))
	if err != nil {
		return nil
	}
	return revision
}

// Vanished is a revision that this reader knows, and that the registry no longer
// has.
type Vanished struct {
	HeadRef
	Revision *revision.Revision // nil where nothing holds it any more
	Verified bool               // it had the signatures that a policy wants of an entry
}

// Vanished returns the revisions of a name that vanished and are later than the
// one which decides it, in log order; head is its tag, or zero. Somebody deleted
// them, or the registry shows an older state: whoever requires signatures looks
// at theirs (Log.Signatures) before believing what decides the name now. They
// are valid, and need not be signed.
func (v *View) Vanished(ctx context.Context, name string, head revision.Tag, asOf time.Time) []Vanished {
	var found []Vanished
	for _, tag := range v.vanished(name, asOf) {
		if head.Compare(tag) < 0 {
			f, _ := v.log.known.get(tag)
			found = append(found, Vanished{HeadRef{tag, f.digest}, v.log.knownRevision(ctx, tag), f.verified})
		}
	}
	return found
}

// vanished returns the tags of a name that this view found absent, in order.
func (v *View) vanished(name string, asOf time.Time) []revision.Tag {
	v.mu.Lock()
	defer v.mu.Unlock()
	var tags []revision.Tag
	for _, tag := range v.odd[name] {
		if v.hasVanished(tag, asOf) {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	return tags
}

// VanishedNames returns the names of which revisions vanished, in text order:
// those to ask Vanished about.
func (v *View) VanishedNames(asOf time.Time) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := map[string]bool{}
	for tag := range v.answers {
		if v.hasVanished(tag, asOf) {
			names[tag.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// hasVanished reports whether this view found a known revision absent. v.mu is
// held.
func (v *View) hasVanished(tag revision.Tag, asOf time.Time) bool {
	there, asked := v.answers[tag]
	if !asked || there || !asOf.IsZero() && tag.Millis > asOf.UnixMilli() {
		return false
	}
	f, known := v.log.known.get(tag)
	return known && f.absent && f.kind != foreign
}

// report tells of names of a later format, of names whose head vanished, where no
// policy says what to make of it, and of a list that is shorter than the newest
// revision's writer saw.
func (v *View) report(ctx context.Context, replay *revision.Replay, tags []revision.Tag, asOf time.Time) {
	for _, head := range replay.Heads() {
		if err := head.CheckFormat(); err != nil && head.Tag.Op == revision.OpPublish {
			v.notices.add(head.Tag.String(), err)
		}
	}
	if v.log.options.HasEntrySignatures == nil {
		for _, name := range v.VanishedNames(asOf) {
			vanished := v.vanished(name, asOf)
			last := vanished[len(vanished)-1]
			head := replay.Head(name)
			if head == nil || head.Tag.Compare(last) < 0 {
				v.notices.add("vanished "+name, vanishedNotice(last, head))
			}
		}
	}
	if asOf.IsZero() {
		v.checkSeen(ctx, replay, tags)
	}
}

func vanishedNotice(last revision.Tag, head *revision.Revision) error {
	what := "it has no head now"
	if head != nil {
		what = fmt.Sprintf("its head is now of %s", head.Tag.Time())
	}
	return fmt.Errorf("entry %q: its latest revision (%s, of %s) is no longer in the registry; %s", last.Name, last, last.Time(), what)
}

// checkSeen compares the list with what the newest revision's writer saw.
func (v *View) checkSeen(ctx context.Context, replay *revision.Replay, tags []revision.Tag) {
	var newest *revision.Revision
	for _, head := range replay.Heads() {
		if newest == nil || newest.Tag.Compare(head.Tag) < 0 {
			newest = head
		}
	}
	if newest != nil && len(tags) == len(v.tags) {
		v.compareSeen(ctx, newest)
	}
}

// CheckList compares the list with what the writer of the newest revision saw, for who is
// about to say that a name is not there: the list may be too short. Where that revision
// cannot be read, nothing is compared.
func (v *View) CheckList(ctx context.Context) {
	if v.cached || len(v.tags) == 0 {
		return
	}
	newest := v.tags[len(v.tags)-1]
	if found, err := v.revisions(ctx, []revision.Tag{newest}); err == nil && found[newest] != nil {
		v.compareSeen(ctx, found[newest])
	}
}

// compareSeen warns if the writer of a revision saw more than the list has.
func (v *View) compareSeen(ctx context.Context, newest *revision.Revision) {
	if newest.Seen.Catalog != revision.CatalogHash(v.log.id) {
		return
	}
	others := len(v.listed)
	if !v.unlisted[newest.Tag] {
		others-- // its writer did not count it
	}
	if newest.Seen.Revisions <= others || v.log.options.HasEntrySignatures != nil && !v.log.options.HasEntrySignatures(ctx, newest) {
		return
	}
	v.notices.add("seen", fmt.Errorf("the registry lists %s beside the newest one (%s), whose writer saw %d: a retention rule may have deleted the rest",
		plural(others, "revision"), newest.Tag, newest.Seen.Revisions))
}
