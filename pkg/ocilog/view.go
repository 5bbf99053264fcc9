package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
)

// View is the log as one tag list showed it. It is safe for concurrent use.
type View struct {
	log       *Log
	tags      []entry.Tag        // of revisions, in log order
	snapshots []entry.Tag        // that the registry lists, in log order
	statuses  []entry.Tag        // of status artifacts, oldest first
	unlisted  map[entry.Tag]bool // known from a snapshot or the cache, but not listed

	snapshot *snapshot // the newest one when the log was read; never nil

	mu       sync.Mutex
	warnings map[string]error
	gone     map[entry.Tag]bool   // looked up and known not to count
	deleted  map[entry.Tag][]byte // of those: no longer in the registry; the manifest, where it is held
}

func newView(l *Log) *View {
	return &View{log: l, unlisted: map[entry.Tag]bool{}, warnings: map[string]error{}, gone: map[entry.Tag]bool{}, deleted: map[entry.Tag][]byte{}}
}

// Read asks the target for its tags and reads the newest snapshot, if it is
// not known already (SPEC section 10). names are those that will be looked at;
// none means all of them. It is a hint: what a view was not read for costs it
// another look at the snapshot.
func (l *Log) Read(ctx context.Context, names ...string) (*View, error) {
	l.restore()
	listed, err := l.target.Tags(ctx)
	if err != nil {
		return nil, err
	}
	revisions, snapshots := entry.ParseTags(listed)
	view := newView(l)
	view.snapshots, view.statuses = snapshots, entry.ParseStatusTags(listed)
	wanted := map[entry.Tag]bool{}
	for _, tag := range entry.NewReplay(revisions, time.Time{}).Undecided() {
		if (len(names) == 0 || slices.Contains(names, tag.Name)) && !l.sound(tag) {
			wanted[tag] = true
		}
	}
	for _, fault := range l.adopt(ctx, snapshots, wanted) {
		view.warn(fault.Error(), fmt.Errorf("%w; the revisions are read one by one", fault))
	}
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	view.tags = l.withUnlisted(revisions, view.unlisted)
	l.mu.Lock()
	view.snapshot = cmp.Or(l.snapshot, &snapshot{})
	l.mu.Unlock()
	return view, nil
}

// withUnlisted adds the revisions that the registry does not list, but a
// snapshot or the cache knows, and marks them.
func (l *Log) withUnlisted(listed []entry.Tag, unlisted map[entry.Tag]bool) []entry.Tag {
	known := make(map[entry.Tag]bool, len(listed))
	for _, tag := range listed {
		known[tag] = true
	}
	all := listed
	l.mu.Lock()
	note := func(tag entry.Tag) {
		if !known[tag] && !unlisted[tag] {
			unlisted[tag] = true
			all = append(all, tag)
		}
	}
	if l.snapshot != nil {
		for tag := range l.snapshot.where {
			note(tag)
		}
	}
	for tag := range l.tail {
		note(tag)
	}
	l.mu.Unlock()
	if len(unlisted) > 0 {
		slices.SortFunc(all, entry.Tag.Compare)
	}
	return all
}

// Tags returns the tags of all revisions in log order; read-only.
func (v *View) Tags() []entry.Tag { return v.tags }

// Live returns the publications that stood at asOf, or stand now for a zero
// asOf, ordered by name. Names that a later format version decides are left
// out, with a warning.
func (v *View) Live(ctx context.Context, asOf time.Time) ([]*entry.Revision, error) {
	live, _, err := v.Heads(ctx, asOf)
	return live, err
}

// Heads is Live with the removals that stand beside the publications, both
// ordered by name: whoever demands signatures demands them of removals too.
func (v *View) Heads(ctx context.Context, asOf time.Time) (live, removed []*entry.Revision, err error) {
	replay, err := v.replay(ctx, v.tags, asOf, v.revisions)
	if err != nil {
		return nil, nil, err
	}
	return v.live(replay), replay.Removed(), nil
}

// live returns the publications that stand, and warns of names that a later
// format version decides.
func (v *View) live(replay *entry.Replay) []*entry.Revision {
	live, newer := replay.Live()
	for _, revision := range newer {
		v.warn(revision.Tag.String(), fmt.Errorf("entry %s is of a later format (%s): upgrade caib to see it", revision.Tag.Name, revision.Newer))
	}
	return live
}

// Head returns the revision that decides name at asOf, or now for a zero asOf:
// a publication, a removal, or one of a later format; nil where there is none.
func (v *View) Head(ctx context.Context, name string, asOf time.Time) (*entry.Revision, error) {
	var tags []entry.Tag
	for _, tag := range v.tags {
		if tag.Name == name {
			tags = append(tags, tag)
		}
	}
	replay, err := v.replay(ctx, tags, asOf, v.revisions)
	if err != nil {
		return nil, err
	}
	return replay.Head(name), nil
}

// replay decides every name among tags with what load finds under them.
func (v *View) replay(ctx context.Context, tags []entry.Tag, asOf time.Time, load func(context.Context, []entry.Tag) (map[entry.Tag]*entry.Revision, error)) (*entry.Replay, error) {
	replay := entry.NewReplay(tags, asOf)
	for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
		revisions, err := load(ctx, want)
		if err != nil {
			return nil, err
		}
		for _, tag := range want {
			replay.Decide(tag, revisions[tag])
		}
	}
	v.log.save()
	return replay, nil
}

// History returns every revision of name, or of all names for "", in log
// order.
func (v *View) History(ctx context.Context, name string) ([]*entry.Revision, error) {
	var want []entry.Tag
	for _, tag := range v.tags {
		if name == "" || tag.Name == name {
			want = append(want, tag)
		}
	}
	revisions, err := v.revisions(ctx, want)
	if err != nil {
		return nil, err
	}
	var history []*entry.Revision
	for _, tag := range want {
		if revision := revisions[tag]; revision != nil {
			history = append(history, revision)
		}
	}
	v.log.save()
	return history, nil
}

// Warnings returns what was noticed so far and did not change the result: a
// snapshot that could not be read, tags that hold no revision, a tag list that
// misses some.
func (v *View) Warnings() []error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []error
	for _, key := range slices.Sorted(maps.Keys(v.warnings)) {
		all = append(all, v.warnings[key])
	}
	return all
}

func (v *View) warn(key string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.warnings[key] = err
}

// revisions returns the revisions of the wanted tags, without those that turn
// out not to be revisions. An error means that something could not be asked:
// then nothing can be said about any of them.
func (v *View) revisions(ctx context.Context, want []entry.Tag) (map[entry.Tag]*entry.Revision, error) {
	want, err := v.standing(ctx, want)
	if err != nil {
		return nil, err
	}
	return v.load(ctx, want)
}

// load is revisions for tags that stand.
func (v *View) load(ctx context.Context, want []entry.Tag) (map[entry.Tag]*entry.Revision, error) {
	found := make(map[entry.Tag]*entry.Revision, len(want))
	missing := v.fromMemory(want, found)
	missing = v.fromSnapshot(ctx, missing, found)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	return found, v.fromTarget(ctx, missing, found)
}

// standing drops the unlisted tags that the registry no longer has, and
// reports both kinds: those that it deleted, and those that its list hides.
func (v *View) standing(ctx context.Context, want []entry.Tag) ([]entry.Tag, error) {
	var mu sync.Mutex
	var hidden, deleted int
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(v.log.options.Parallel)
	for _, tag := range want {
		if !v.unlisted[tag] || v.isGone(tag) {
			continue
		}
		group.Go(func() error {
			_, err := v.log.target.Resolve(within, tag.String())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				hidden++
			case errors.Is(err, entry.ErrNotFound):
				deleted++
				v.setGone(tag)
				manifest := v.log.forget(tag)
				v.mu.Lock()
				v.deleted[tag] = manifest
				v.mu.Unlock()
			default:
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if hidden > 0 {
		v.warn("hidden", fmt.Errorf("the registry's tag list is incomplete: it leaves out %d revisions that exist", hidden))
	}
	if deleted > 0 && hidden == 0 {
		v.log.discard(v.snapshots)
	}
	if deleted > 0 {
		v.warn("deleted", fmt.Errorf("%d revisions were deleted from the registry since the last snapshot", deleted))
	}
	return slices.DeleteFunc(slices.Clone(want), v.isGone), nil
}

func (v *View) isGone(tag entry.Tag) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.gone[tag]
}

func (v *View) setGone(tag entry.Tag) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone[tag] = true
}

// timedOut gives a context's end its kind.
func timedOut(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("read the log: %w", entry.ErrTimeout)
	}
	return context.Cause(ctx)
}
