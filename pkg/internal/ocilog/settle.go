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
	// Counts reports whether the policy in force verifies a revision: what it does
	// not verify blocks, ends and moves nothing. nil counts all.
	Counts func(context.Context, *revision.Revision) bool
	// Before is the view by which the publisher decided.
	Before *View
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
		view, err := l.Read(ctx)
		if err != nil {
			return Settlement{}, err
		}
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
	heads, err := v.Heads(ctx, time.Time{})
	if err != nil {
		return found, false, err
	}
	var own *revision.Revision // what decides the name
	for _, head := range heads {
		switch {
		case head.Tag.Name == s.Own.Tag.Name:
			own = head
		case head.Document == nil || slices.Contains(s.Ended, head.Tag) || !s.Same(head):
		case (found.By == nil || head.Tag.Compare(found.By.Tag) < 0) && s.counts(ctx, head):
			found.By = head
		}
	}
	if own == nil || own.Tag.Compare(s.Own.Tag) < 0 {
		return Settlement{SettledSuperseded, nil, v}, false, nil
	}
	if own.Tag != s.Own.Tag {
		after := slices.DeleteFunc(slices.Clone(v.of(s.Own.Tag.Name)), func(tag revision.Tag) bool { return tag.Compare(s.Own.Tag) <= 0 })
		if own, err = v.last(ctx, after, s.counts); own != nil || err != nil {
			return Settlement{SettledSuperseded, own, v}, false, err
		}
	}
	tied, err := v.tied(ctx, s)
	switch {
	case err != nil:
		return found, false, err
	case tied != nil:
		return Settlement{SettledTied, tied, v}, false, nil
	case found.By == nil:
		return found, v.listsUnreadable(s.Before), nil
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

func (s *Settling) counts(ctx context.Context, head *revision.Revision) bool {
	return s.Counts == nil || s.Counts(ctx, head)
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
	if len(same) == 0 {
		return nil, nil
	}
	found, err := v.revisions(ctx, same)
	for _, tag := range same {
		if tied := found[tag]; tied != nil && s.counts(ctx, tied) {
			return tied, err
		}
	}
	return nil, err
}

// last returns the last revision under some tags, in log order, that counts; nil for
// none.
func (v *View) last(ctx context.Context, tags []revision.Tag, counts func(context.Context, *revision.Revision) bool) (*revision.Revision, error) {
	for _, tag := range slices.Backward(tags) {
		found, err := v.revisions(ctx, []revision.Tag{tag})
		if err != nil {
			return nil, err
		}
		if r := found[tag]; r != nil && counts(ctx, r) {
			return r, nil
		} // else it is no revision, or a stranger's
	}
	return nil, nil
}

// liveWithout reports whether the name would be live without the own revision,
// which decides it.
func (v *View) liveWithout(ctx context.Context, s *Settling) (bool, error) {
	before := slices.DeleteFunc(slices.Clone(v.of(s.Own.Tag.Name)), func(tag revision.Tag) bool { return s.Own.Tag.Compare(tag) <= 0 })
	head, err := v.last(ctx, before, s.counts)
	return head != nil && head.Tag.Op == revision.OpPublish, err
}

// Overtaken decides whether an editor is done, who made revisions of a name from base:
// own. The last later one that somebody else made, and that counts, is what the editor
// has to read: its own revision lacks what that changed, or is hidden by it (SPEC
// section 12). nil means that nobody came between.
func (v *View) Overtaken(ctx context.Context, base revision.Tag, own map[revision.Tag]bool, counts func(context.Context, *revision.Revision) bool) (*revision.Revision, error) {
	others := slices.DeleteFunc(slices.Clone(v.of(base.Name)), func(tag revision.Tag) bool { return tag.Compare(base) <= 0 || own[tag] })
	return v.last(ctx, others, counts)
}
