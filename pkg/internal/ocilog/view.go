package ocilog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// View is the log as one tag list showed it. It is safe for concurrent use.
type View struct {
	log       *Log
	listed    []revision.Tag        // of revisions that the registry lists, in log order
	tags      []revision.Tag        // these, and those that are known and not listed
	unlisted  map[revision.Tag]bool // of tags: those that are not listed
	beyond    []revision.Tag        // of revisions and artifacts beside the log: dated too far ahead
	snapshots []revision.Tag        // that the registry lists, in log order
	statuses  []revision.Tag        // of status artifacts, oldest first
	locations []revision.Tag        // of locations artifacts, oldest first
	cached    bool                  // from the cache: the registry was not asked
	hashes    *hashes               // of the newest snapshot, instead of its segments; nil: these were read

	mu      sync.Mutex
	answers map[revision.Tag]bool     // to a look for an unlisted tag: whether it is there
	none    map[revision.Tag]error    // tags that hold no revision, and why
	odd     map[string][]revision.Tag // by name, those of answers and none
	all     []string                  // all that was listed, tags that are none of the log's as well
	notices notices
}

// Read asks the target for its tags and reads the newest snapshot, if it is not
// known already (SPEC section 10). names are those that will be asked for; none means
// all of them. It is a hint: of a snapshot that has hashes, only these may be read, and
// then what is asked for is fetched by itself, or the snapshot read after all if that is
// much (View.IsPartial). A registry that answers without much of what this reader
// saw in it is a *MissingError.
func (l *Log) Read(ctx context.Context, names ...string) (*View, error) {
	return l.readListed(ctx, nil, names...)
}

// readListed is Read of what the registry listed a moment ago; nil asks it.
func (l *Log) readListed(ctx context.Context, listed []string, names ...string) (*View, error) {
	view, err := l.readIncomplete(ctx, listed, names...)
	if err != nil {
		return nil, err
	}
	if err := view.checkLoss(ctx); err != nil {
		return nil, err
	}
	return view, nil
}

// ReadIncomplete is Read for those who mean to accept what is missing, however
// much it is.
func (l *Log) ReadIncomplete(ctx context.Context, names ...string) (*View, error) {
	return l.readIncomplete(ctx, nil, names...)
}

func (l *Log) readIncomplete(ctx context.Context, listed []string, names ...string) (_ *View, err error) {
	l.restore(ctx)
	if listed == nil {
		if listed, err = l.target.Tags(ctx); err != nil {
			return nil, err
		}
	}
	view := l.newView(ctx, listed)
	wanted := map[revision.Tag]bool{}
	for _, tag := range revision.NewReplay(view.listed, time.Time{}).Undecided() {
		if (len(names) == 0 || slices.Contains(names, tag.Name)) && !l.known.isValid(tag) {
			wanted[tag] = true
		}
	}
	if len(names) > 0 {
		view.hashes = l.readHashes(ctx, view)
	}
	if view.hashes == nil {
		takeGuess := l.guess(ctx, view, wanted)
		view.readSnapshots(ctx, wanted)
		takeGuess()
	}
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	l.known.saw(view.listed...)
	view.addUnlisted()
	return view, view.checkSnapshot(ctx)
}

// readSnapshots is that of the log; what could not be read is a warning of the view.
func (v *View) readSnapshots(ctx context.Context, wanted map[revision.Tag]bool) {
	for _, fault := range v.log.readSnapshots(ctx, v, wanted) {
		v.notices.add(fault.Error(), fmt.Errorf("%w; the revisions are read one by one", fault))
	}
}

func (l *Log) emptyView() *View {
	return &View{log: l, unlisted: map[revision.Tag]bool{}, answers: map[revision.Tag]bool{}, none: map[revision.Tag]error{}, odd: map[string][]revision.Tag{}}
}

// newView sorts out what the registry lists.
func (l *Log) newView(ctx context.Context, listed []string) *View {
	v := l.emptyView()
	v.all = listed
	horizon := l.horizon()
	var beyond [4][]revision.Tag
	revisions, snapshots := revision.ParseTags(listed)
	v.listed, beyond[0] = upTo(revisions, horizon)
	v.snapshots, beyond[1] = upTo(snapshots, horizon)
	v.statuses, beyond[2] = upTo(revision.ParseStatusTags(listed), horizon)
	v.locations, beyond[3] = upTo(revision.ParseLocationsTags(listed), horizon)
	v.beyond = slices.Concat(beyond[1], beyond[2], beyond[3])
	for _, tag := range beyond[0] {
		if f, ok := l.known.get(tag); ok && f.verified {
			v.listed = append(v.listed, tag)
		} else {
			v.beyond = append(v.beyond, tag)
		}
	}
	v.admitVerified(ctx)
	slices.SortFunc(v.listed, revision.Tag.Compare)
	return v
}

// Lists reports whether the registry listed a tag, of the log or not.
func (v *View) Lists(tag string) bool { return slices.Contains(v.all, tag) }

// Subjects returns the digests of which the registry lists a fallback index of
// referrers (SPEC section 9).
func (v *View) Subjects() (subjects []digest.Digest) {
	for _, tag := range v.all {
		if hex, ok := strings.CutPrefix(tag, "sha256-"); ok {
			if d := digest.NewDigestFromEncoded(digest.SHA256, hex); d.Validate() == nil {
				subjects = append(subjects, d)
			}
		}
	}
	return subjects
}

// tryBeyond bounds the revisions dated too far ahead that are read.
const tryBeyond = 64

// admitVerified takes those into the view that have the signatures which the policy
// wants of an entry, although they are dated too far ahead.
func (v *View) admitVerified(ctx context.Context) {
	var try []revision.Tag
	for _, tag := range v.beyond {
		if tag.Op == revision.OpPublish || tag.Op == revision.OpRemove {
			try = append(try, tag)
		}
	}
	if v.log.options.HasEntrySignatures == nil || len(try) == 0 {
		return
	}
	try = try[:min(len(try), tryBeyond)]
	found := map[revision.Tag]*revision.Revision{}
	failed := v.fromTarget(ctx, v.fromMemory(try, found), found)
	for _, tag := range try {
		delete(v.none, tag) // they are reported as what they are: too far ahead
	}
	if failed != nil {
		return // what is not known to be verified is none
	}
	for _, tag := range try {
		if r := found[tag]; r != nil && v.log.options.HasEntrySignatures(ctx, r) {
			v.log.Confirm(tag)
			v.listed = append(v.listed, tag)
			v.beyond = slices.DeleteFunc(v.beyond, func(other revision.Tag) bool { return other == tag })
		}
	}
}

// addUnlisted makes the view's tags: what is listed, and what is known beside.
func (v *View) addUnlisted() {
	listed := make(map[revision.Tag]bool, len(v.listed))
	for _, tag := range v.listed {
		listed[tag] = true
	}
	horizon := v.log.horizon()
	v.tags = slices.Clip(v.listed)
	v.log.known.mu.Lock()
	for tag, f := range v.log.known.facts {
		if f.isKnown() && !listed[tag] && (tag.Millis <= horizon || f.verified) {
			v.unlisted[tag] = true
			v.tags = append(v.tags, tag)
		}
	}
	v.log.known.mu.Unlock()
	slices.SortFunc(v.tags, revision.Tag.Compare)
}

// Tags returns the tags of all revisions in log order; read-only.
func (v *View) Tags() []revision.Tag { return v.tags }

// Seen says how many revisions the registry lists, for the next revision to
// tell. What not every reader counts is left out: tags that hold none, and those
// that only a policy admits.
func (v *View) Seen() revision.Seen {
	horizon := v.log.horizon()
	seen := revision.Seen{Catalog: revision.CatalogHash(v.log.id)}
	for _, tag := range v.listed {
		if tag.Millis <= horizon && !v.isNone(tag) {
			seen.Revisions++
		}
	}
	return seen
}

// Heads returns the revisions that decided each name at asOf, or decide it now
// for a zero asOf, ordered by name: publications, removals, and those of a later
// format.
func (v *View) Heads(ctx context.Context, asOf time.Time) ([]*revision.Revision, error) {
	replay, err := v.replay(ctx, v.tags, asOf, v.revisions)
	if err != nil {
		return nil, err
	}
	return replay.Heads(), nil
}

// Head returns the revision that decides name at asOf, or now for a zero asOf:
// a publication, a removal, or one of a later format; nil where there is none.
func (v *View) Head(ctx context.Context, name string, asOf time.Time) (*revision.Revision, error) {
	replay, err := v.replay(ctx, v.of(name), asOf, v.revisions)
	if err != nil {
		return nil, err
	}
	return replay.Head(name), nil
}

// of returns the tags of a name, or of all for "".
func (v *View) of(name string) []revision.Tag {
	if name == "" {
		return v.tags
	}
	var tags []revision.Tag
	for _, tag := range v.tags {
		if tag.Name == name {
			tags = append(tags, tag)
		}
	}
	return tags
}

// finder returns what is found under some tags, without those that are not
// there or hold no revision.
type finder func(ctx context.Context, want []revision.Tag) (map[revision.Tag]*revision.Revision, error)

// replay decides every name among tags with what load finds under them.
func (v *View) replay(ctx context.Context, tags []revision.Tag, asOf time.Time, load finder) (*revision.Replay, error) {
	replay := revision.NewReplay(tags, asOf)
	for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
		found, err := load(ctx, want)
		if err != nil {
			v.saved(v.log.Save(ctx)) // the next reading goes on from here
			return nil, err
		}
		replay.Decide(found)
	}
	heads := replay.Heads()
	v.sawListed(heads)
	v.report(ctx, replay, tags, asOf)
	v.saved(v.log.Save(ctx))
	return replay, nil
}

// sawListed notes that the registry showed the heads that it lists.
func (v *View) sawListed(heads []*revision.Revision) {
	if v.cached {
		return
	}
	seen := make([]revision.Tag, 0, len(heads))
	for _, head := range heads {
		if !v.unlisted[head.Tag] {
			seen = append(seen, head.Tag)
		}
	}
	v.log.known.saw(seen...)
}

// saved reports what could not be written down, where that matters.
func (v *View) saved(err error) {
	if err != nil && v.log.options.HasEntrySignatures != nil {
		v.notices.add("state", err)
	}
}

// Empty reports whether the registry lists nothing at all: no catalog was begun
// there, or all of it was taken away.
func (v *View) Empty() bool { return len(v.all) == 0 }

// History returns every revision of name, or of all names for "", in log
// order.
func (v *View) History(ctx context.Context, name string) ([]*revision.Revision, error) {
	return v.historyOf(ctx, v.of(name))
}

// HistoryOf returns every revision of some names, in log order.
func (v *View) HistoryOf(ctx context.Context, names map[string]bool) ([]*revision.Revision, error) {
	var want []revision.Tag
	for _, tag := range v.tags {
		if names[tag.Name] {
			want = append(want, tag)
		}
	}
	return v.historyOf(ctx, want)
}

func (v *View) historyOf(ctx context.Context, want []revision.Tag) ([]*revision.Revision, error) {
	revisions, err := v.revisions(ctx, want)
	if err != nil {
		return nil, err
	}
	var history []*revision.Revision
	for _, tag := range want {
		if revision := revisions[tag]; revision != nil {
			history = append(history, revision)
		}
	}
	v.saved(v.log.Save(ctx))
	return history, nil
}

// revisions is the loader of all that a revision says. An error means that
// something could not be asked: then nothing can be said about any of them.
func (v *View) revisions(ctx context.Context, want []revision.Tag) (map[revision.Tag]*revision.Revision, error) {
	want, err := v.dropAbsent(ctx, want)
	if err != nil {
		return nil, err
	}
	return v.find(ctx, want)
}

// notRevision notes that a tag holds no revision. A tag that is only claimed to
// exist is dropped without a word: nobody need know of it.
func (v *View) notRevision(tag revision.Tag, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteOdd(tag)
	if v.unlisted[tag] && !v.answers[tag] {
		v.answers[tag] = false
		return
	}
	v.none[tag] = why
}

// noteOdd finds a tag by its name, once it is in answers or none. It is called
// before it is put there, with v.mu held.
func (v *View) noteOdd(tag revision.Tag) {
	_, asked := v.answers[tag]
	if _, none := v.none[tag]; !asked && !none {
		v.odd[tag.Name] = append(v.odd[tag.Name], tag)
	}
}

// isNone reports whether a tag was found to hold no revision, or not to be
// there.
func (v *View) isNone(tag revision.Tag) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	there, asked := v.answers[tag]
	return v.none[tag] != nil || asked && !there
}

// Unreadable returns the listed tags of a name that hold no revision, and are
// later than the one which decides it; zero for none. They are newest last.
// Whoever requires signatures cannot tell what was there.
func (v *View) Unreadable(name string, head revision.Tag, asOf time.Time) []revision.Tag {
	v.mu.Lock()
	defer v.mu.Unlock()
	var later []revision.Tag
	for _, tag := range v.odd[name] {
		if v.none[tag] != nil && head.Compare(tag) < 0 && (asOf.IsZero() || tag.Millis <= asOf.UnixMilli()) {
			later = append(later, tag)
		}
	}
	slices.SortFunc(later, revision.Tag.Compare)
	return later
}

// UnreadableNames returns the names of which tags hold no revision, in text
// order: those to ask Unreadable about.
func (v *View) UnreadableNames() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := map[string]bool{}
	for tag := range v.none {
		names[tag.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Confirm notes that a policy verified revisions: what was verified once is
// missed once it is absent.
func (l *Log) Confirm(tags ...revision.Tag) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	for _, tag := range tags {
		if f := l.known.facts[tag]; f != nil {
			f.verified = true
		}
	}
}

// timedOut gives a context's end its kind.
func timedOut(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("read the log: %w", entry.ErrTimeout)
	}
	return context.Cause(ctx)
}
