package ocilog

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Settlement is what a publisher finds once the own tag is visible (SPEC section
// 12): whether others published the same name or image at the same time.
type Settlement struct {
	Outcome Settled
	By      *revision.Revision // that of another publisher; nil where Outcome needs none
	View    *View              // that was read last
}

// Settled is the outcome of a Settlement.
type Settled int

// The outcomes.
const (
	SettledAlone      Settled = iota // the publication stands, and nobody else has its image
	SettledTied                      // By has the same name and time, and its publisher may withdraw it, and this one with it
	SettledSuperseded                // By decides the name; with a nil By, the own revision is gone
	SettledWithdraws                 // By has the image under another name, and without the own revision the name is not live: it is to be withdrawn
	SettledStays                     // By has the image under another name, and both stay
)

// Settling says what to look for.
type Settling struct {
	Own *revision.Revision
	// Same reports whether a publication under another name has the image of Own.
	Same func(*revision.Revision) bool
	// Counter says which revisions count; nil counts all.
	Counter Counter
	// Before is the view by which the publisher decided.
	Before *View
	// Listed is what the registry listed once it showed Own; nil asks it.
	Listed []string
	// Ended are the revisions of other names that the publisher ends next.
	Ended []revision.Tag
	// Wait is how long later publishers of the image have to withdraw.
	Wait time.Duration
}

// settleLooks is how often the log is read while only later publications have
// the image, or a tag is listed before its manifest can be had. Publishers that
// settle later than this one withdraw; those that are still there then have settled
// before this one's tag was visible, and were told that they published.
const settleLooks = 3

// Settle reads the log again after an Append.
func (l *Log) Settle(ctx context.Context, s *Settling) (Settlement, error) {
	for look := 1; ; look++ {
		view, err := l.readListed(ctx, s.Listed, s.Own.Tag.Name)
		if err != nil {
			return Settlement{}, err
		}
		s.Listed = nil
		found, wait, err := view.settle(ctx, s)
		if err != nil || !wait || look == settleLooks {
			return found, err
		}
		if pause.For(ctx, s.Wait) != nil {
			return Settlement{}, timedOut(ctx)
		}
	}
}

// settle decides by one view. wait reports that more may be known a moment later.
func (v *View) settle(ctx context.Context, s *Settling) (found Settlement, wait bool, err error) {
	found.View = v
	own, err := v.Head(ctx, s.Own.Tag.Name, time.Time{}) // what decides the name
	if err != nil {
		return found, false, err
	}
	if own == nil || own.Tag.Compare(s.Own.Tag) < 0 {
		return Settlement{SettledSuperseded, nil, v}, false, nil
	}
	if own.Tag != s.Own.Tag {
		after := slices.DeleteFunc(slices.Clone(v.of(s.Own.Tag.Name)), func(tag revision.Tag) bool { return tag.Compare(s.Own.Tag) <= 0 })
		if own, err = v.last(ctx, after, s.Counter); own != nil || err != nil {
			return Settlement{SettledSuperseded, own, v}, false, err
		}
	}
	tied, err := v.tied(ctx, s)
	switch {
	case err != nil:
		return found, false, err
	case tied != nil:
		return Settlement{SettledTied, tied, v}, false, nil
	}
	if found.By, err = v.holder(ctx, s); err != nil || found.By == nil {
		return found, v.listsUnreadable(s.Before), err
	}
	found.Outcome = SettledStays
	live, err := v.liveWithout(ctx, s)
	if err == nil && !live {
		found.Outcome = SettledWithdraws
	}
	return found, s.Own.Tag.Compare(found.By.Tag) < 0, err
}

// listsUnreadable reports whether a publication is listed that was not before, and
// cannot be read: some registries list a tag a moment before they have it.
func (v *View) listsUnreadable(before *View) bool {
	if before == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for tag := range v.none {
		if _, known := slices.BinarySearchFunc(before.tags, tag, revision.Tag.Compare); tag.Op == revision.OpPublish && !known {
			return true
		}
	}
	return false
}

// holder returns the earliest revision that decides another name, has the image, and is
// not to be ended; nil for none.
func (v *View) holder(ctx context.Context, s *Settling) (*revision.Revision, error) {
	heads, err := v.HeadsFrom(ctx, s.Own.Document.Image.Reference)
	if err != nil {
		return nil, err
	}
	contenders, err := v.Contenders(ctx, s.Counter, heads, s.Own.Tag.Name)
	if err != nil {
		return nil, err
	}
	for _, holder := range Deciding(ctx, s.Counter, contenders, s.Same) {
		if !slices.Contains(s.Ended, holder.Tag) {
			return holder, nil
		}
	}
	return nil, nil
}

// tied returns another publication of the same name and time. Its publisher may
// withdraw it and not know of this one, which the same removal would end.
func (v *View) tied(ctx context.Context, s *Settling) (*revision.Revision, error) {
	var same []revision.Tag
	for _, tag := range v.of(s.Own.Tag.Name) {
		if tag.Millis == s.Own.Tag.Millis && tag.Op == revision.OpPublish && tag != s.Own.Tag {
			same = append(same, tag)
		}
	}
	return v.last(ctx, same, s.Counter)
}

// Last returns the last revision of a name that counts; nil for none.
func (v *View) Last(ctx context.Context, name string, counter Counter) (*revision.Revision, error) {
	return v.last(ctx, v.of(name), counter)
}

// maxLast bounds the revisions of a name that are looked at together.
const maxLast = 64

// last returns the last revision under some tags, in log order, that counts; nil for
// none. It looks at the newest first, and at twice as many each time.
func (v *View) last(ctx context.Context, tags []revision.Tag, counter Counter) (*revision.Revision, error) {
	for size := 1; len(tags) > 0; size = min(2*size, maxLast) {
		some := tags[max(0, len(tags)-size):]
		tags = tags[:len(tags)-len(some)]
		found, err := v.historyOf(ctx, some) // what is no revision is left out
		if err != nil {
			return nil, err
		}
		if last := lastOf(ctx, counter, found); last != nil {
			return last, nil
		}
	}
	return nil, nil
}

// liveWithout reports whether the name would be live without the own revision,
// which decides it.
func (v *View) liveWithout(ctx context.Context, s *Settling) (bool, error) {
	head, err := v.Preceding(ctx, s.Own.Tag, s.Counter)
	return head != nil && head.Tag.Op == revision.OpPublish, err
}

// Preceding returns the last revision of a name before one of its tags, that counts; nil
// for none.
func (v *View) Preceding(ctx context.Context, tag revision.Tag, counter Counter) (*revision.Revision, error) {
	before := slices.DeleteFunc(slices.Clone(v.of(tag.Name)), func(other revision.Tag) bool { return tag.Compare(other) <= 0 })
	return v.last(ctx, before, counter)
}

// HasMoreBefore reports whether the view has tags of a name before one of them that
// another view lacks.
func (v *View) HasMoreBefore(tag revision.Tag, than *View) bool {
	known := map[revision.Tag]bool{}
	for _, other := range than.of(tag.Name) {
		known[other] = true
	}
	return slices.ContainsFunc(v.of(tag.Name), func(other revision.Tag) bool { return other.Compare(tag) < 0 && !known[other] })
}
