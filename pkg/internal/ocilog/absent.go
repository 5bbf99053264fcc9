package ocilog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// What is known and not listed is asked for by itself: some registries cut
// their lists short, and somebody may have deleted it (SPEC section 8). Of what
// this reader saw in the registry and is told is not there, the revisions that
// would decide a name have vanished: they stay known, and are reported each
// time. What was only claimed is dropped.

// MissingError says that a registry answers without so much of what this reader
// saw in it that nothing can be said: most likely a cache in front of it that
// cannot reach it, or a retention rule that deletes tags. It is an
// entry.ErrUnreachable.
type MissingError struct {
	Missing int // heads that the registry does not have
	Known   int // heads that it had
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%d of %d entries that this reader has seen are missing from the registry's answer", e.Missing, e.Known)
}

// Is makes it an entry.ErrUnreachable.
func (e *MissingError) Is(target error) bool { return target == entry.ErrUnreachable }

// tooMany reports whether so many heads are not lost one by one.
func tooMany(missing, known int) bool { return missing > 3 && missing*20 > known }

// checkLoss looks for the heads that are not listed, where they are too many.
func (v *View) checkLoss(ctx context.Context) error {
	horizon := v.log.horizon()
	policy := v.log.options.HasEntrySignatures != nil // then strangers' do not count: they can make any number vanish
	v.log.known.mu.Lock()
	heads := v.log.known.heads(horizon, func(f *fact) bool { return f.verified || !policy })
	v.log.known.mu.Unlock()
	var missing []revision.Tag
	for _, tag := range heads {
		if v.unlisted[tag] {
			missing = append(missing, tag)
		}
	}
	if !tooMany(len(missing), len(heads)) {
		return nil
	}
	slices.SortFunc(missing, revision.Tag.Compare)
	// If the first are absent, there is no need to ask for all of them.
	enough := min(len(missing), max(3, len(heads)/20)+1)
	var gone []revision.Tag
	for _, some := range [][]revision.Tag{missing[:enough], missing[enough:]} {
		absent, err := v.confirmAbsent(ctx, some)
		if err != nil {
			return err
		}
		if gone = append(gone, absent...); tooMany(len(gone), len(heads)) {
			return &MissingError{Missing: len(missing), Known: len(heads)}
		}
	}
	v.setAbsent(ctx, gone)
	return nil
}

// checkSnapshot reports that the newest snapshot is absent with none in its place.
func (v *View) checkSnapshot(ctx context.Context) error {
	v.log.known.mu.Lock()
	newest := v.log.newest
	v.log.known.mu.Unlock()
	if newest == (revision.Tag{}) || len(v.snapshots) > 0 && newest.Compare(v.snapshots[len(v.snapshots)-1]) <= 0 {
		return nil
	}
	switch _, err := v.log.target.Resolve(ctx, newest.String()); {
	case errors.Is(err, entry.ErrNotFound):
		v.notices.add("snapshot", fmt.Errorf("the newest snapshot (%s) is no longer in the registry, and there is none in its place", newest))
	case ctx.Err() != nil:
		return timedOut(ctx)
	}
	return nil // it is a cache: its faults are none of the log
}

// dropAbsent drops the unlisted tags that the registry does not have.
func (v *View) dropAbsent(ctx context.Context, want []revision.Tag) ([]revision.Tag, error) {
	var ask []revision.Tag
	v.mu.Lock()
	for _, tag := range want {
		if _, asked := v.answers[tag]; v.unlisted[tag] && !asked {
			ask = append(ask, tag)
		}
	}
	v.mu.Unlock()
	if len(ask) > 0 {
		if err := v.ask(ctx, ask); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(want), v.isNone), nil
}

// ask finds out which unlisted tags are there.
func (v *View) ask(ctx context.Context, tags []revision.Tag) error {
	var seen, claimed []revision.Tag
	for _, tag := range tags {
		if f, _ := v.log.known.get(tag); f.seen {
			seen = append(seen, tag)
		} else {
			claimed = append(claimed, tag)
		}
	}
	claimed = v.withRefuted(claimed)
	if len(claimed) > tryClaims {
		// Somebody may claim any number: some are tried before all are asked for.
		some, rest := v.sample(claimed, tryClaims)
		there, err := v.countPresent(ctx, some)
		if err != nil {
			return err
		}
		if there == 0 {
			v.answer(rest, false)
			v.notices.drop(rest...)
			rest = nil
		}
		claimed = rest
	}
	_, err := v.countPresent(ctx, append(seen, claimed...))
	return err
}

// withRefuted adds to claims all others of those names of which one was found to
// be false: they are asked for at once, and not in a round for every few of them.
func (v *View) withRefuted(claimed []revision.Tag) []revision.Tag {
	names := map[string]bool{}
	for _, tag := range claimed {
		names[tag.Name] = true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	refuted := map[string]bool{}
	for tag, there := range v.answers {
		if !there && names[tag.Name] {
			refuted[tag.Name] = true
		}
	}
	for tag := range v.unlisted {
		if _, asked := v.answers[tag]; asked || !refuted[tag.Name] {
			continue
		}
		if f, _ := v.log.known.get(tag); !f.seen {
			claimed = append(claimed, tag)
		}
	}
	slices.SortFunc(claimed, revision.Tag.Compare)
	return slices.Compact(claimed)
}

// sample splits claims into at most so many of them and the rest. Each segment that claims
// some has its share, so that no forged one hides what a valid one claims.
func (v *View) sample(tags []revision.Tag, n int) (some, rest []revision.Tag) {
	bySegment := map[digest.Digest][]revision.Tag{}
	for _, tag := range tags {
		f, _ := v.log.known.get(tag)
		if len(f.segments) == 0 {
			bySegment[""] = append(bySegment[""], tag) // it was claimed before
		}
		for _, d := range f.segments {
			bySegment[d] = append(bySegment[d], tag)
		}
	}
	groups := slices.SortedFunc(maps.Values(bySegment), func(a, b []revision.Tag) int { return len(a) - len(b) })
	taken := map[revision.Tag]bool{}
	for i, group := range groups {
		group = slices.DeleteFunc(group, func(tag revision.Tag) bool { return taken[tag] })
		for _, tag := range spread(group, (n-len(taken))/(len(groups)-i)) {
			taken[tag] = true
		}
	}
	for _, tag := range tags {
		if taken[tag] {
			some = append(some, tag)
		} else {
			rest = append(rest, tag)
		}
	}
	return some, rest
}

// spread returns so many of some tags, from all over.
func spread(tags []revision.Tag, n int) (some []revision.Tag) {
	for i, tag := range tags {
		if n >= len(tags) || i*n/len(tags) != (i+1)*n/len(tags) {
			some = append(some, tag)
		}
	}
	return some
}

// countPresent looks for tags, and returns how many of them are there. Claims that are
// no valid records are not asked for.
func (v *View) countPresent(ctx context.Context, tags []revision.Tag) (there int, err error) {
	valid, err := v.dropFalseClaims(ctx, tags)
	if err != nil {
		return 0, err
	}
	absent, err := v.confirmAbsent(ctx, valid)
	if err != nil {
		return 0, err
	}
	v.setAbsent(ctx, absent)
	return len(valid) - len(absent), nil
}

// dropFalseClaims drops the tags that are only claimed, by records that are none.
func (v *View) dropFalseClaims(ctx context.Context, tags []revision.Tag) ([]revision.Tag, error) {
	var unproven, valid []revision.Tag
	for _, tag := range tags {
		if f, _ := v.log.known.get(tag); f.digest == "" {
			unproven = append(unproven, tag)
		} else {
			valid = append(valid, tag)
		}
	}
	if len(unproven) == 0 {
		return tags, nil
	}
	found := map[revision.Tag]*revision.Revision{}
	v.fromSegments(ctx, v.log.target, unproven, found)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	for _, tag := range unproven {
		switch f, _ := v.log.known.get(tag); {
		case f.seen, found[tag] != nil:
			valid = append(valid, tag)
		default:
			v.answer([]revision.Tag{tag}, false)
		}
	}
	return valid, nil
}

// confirmAbsent asks the registry for tags, twice where it says that they are not there,
// and returns those that are absent. The answers count for this view.
func (v *View) confirmAbsent(ctx context.Context, tags []revision.Tag) (absent []revision.Tag, err error) {
	absent, err = v.resolve(ctx, tags)
	if err != nil {
		return nil, err
	}
	var again, before []revision.Tag // before: said so in an earlier reading, and need not be asked twice
	for _, tag := range absent {
		if f, _ := v.log.known.get(tag); f.absent {
			before = append(before, tag)
		} else {
			again = append(again, tag)
		}
	}
	if len(again) > 0 {
		if pause.For(ctx, v.log.options.Recheck) != nil {
			return nil, timedOut(ctx)
		}
		if again, err = v.resolve(ctx, again); err != nil {
			return nil, err
		}
	}
	absent = append(before, again...)
	v.answer(absent, false)
	return absent, nil
}

// resolve asks for tags at once and returns those that the registry answers are
// not there. The others are there.
func (v *View) resolve(ctx context.Context, tags []revision.Tag) (absent []revision.Tag, err error) {
	var mu sync.Mutex
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(v.log.options.Parallel)
	for _, tag := range tags {
		group.Go(func() error {
			found, err := v.log.target.Resolve(within, tag.String())
			switch {
			case errors.Is(err, entry.ErrNotFound):
				mu.Lock()
				defer mu.Unlock()
				absent = append(absent, tag)
				return nil
			case err != nil:
				return err
			}
			v.answer([]revision.Tag{tag}, true)
			v.log.known.saw(tag)
			v.notices.hide()
			if f, _ := v.log.known.get(tag); f.digest != "" && f.digest != found.Digest {
				v.notices.add(tag.String(), &OverwrittenError{tag, found.Digest, f.digest})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, timedOut(ctx)
		}
		return nil, err
	}
	slices.SortFunc(absent, revision.Tag.Compare)
	return absent, nil
}

func (v *View) answer(tags []revision.Tag, there bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, tag := range tags {
		v.noteOdd(tag)
		v.answers[tag] = there
	}
}
