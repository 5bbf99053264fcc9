package ocilog

import (
	"context"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// editing is an edit of an entry, which gives it a word of its own.
type editing struct {
	word string
	last revision.Tag                  // the last revision that it wrote
	from map[revision.Tag]revision.Tag // of each that it wrote: what it was made from
	done bool                          // it was told that it edited the entry
}

// edit gives an entry one more word, as catalog.Edit does: what it decides by is the
// same code, View.Overtaken and Document.Changed.
func (a *actor) edit(ctx context.Context, name string) {
	s := a.schedule
	view, base, saw, err := a.decide(ctx, a.process.log.Read, name)
	if err != nil || base == nil || base.Document == nil || !a.counts(base) {
		return
	}
	a.serial++
	e := &editing{word: fmt.Sprintf("edit-%d-%d", a.index, a.serial), from: map[revision.Tag]revision.Tag{}}
	change := &entry.Change{AddTags: []string{e.word}}
	own := map[revision.Tag]bool{}
	from, begun := base, base
	for round := 1; ; round++ {
		last := a.appendEdit(ctx, view, from, change, saw, e)
		if last == nil {
			return
		}
		own[last.Tag], base = true, from
		saw = s.shown()
		var other *revision.Revision
		if view, other, err = a.overtaken(ctx, base, own); err != nil {
			return
		}
		switch {
		case other == nil:
			e.done = true
		case other.Document == nil, other.Document.Image.Digest != begun.Document.Image.Digest:
			return // it gives way; what it was told is none of this
		case last.Tag.Compare(other.Tag) < 0 && slices.Contains(other.Document.Tags, e.word):
			e.done = true
		}
		if e.done || round == 4 {
			s.note("%s: the edit %s is over: %t", a.name, e.word, e.done)
			return
		}
		from = other
	}
}

// appendEdit appends what a change makes of a revision; nil is one that failed.
func (a *actor) appendEdit(ctx context.Context, view *View, from *revision.Revision, change *entry.Change, saw int, e *editing) *revision.Revision {
	s := a.schedule
	text, err := a.process.log.DocumentText(ctx, from.Tag)
	if err != nil {
		return nil
	}
	document, err := from.Document.Changed(change)
	if err != nil {
		s.fail("%s cannot change %s: %v", a.name, from.Tag, err)
		return nil
	}
	document.PublishedAt, document.PublishedBy, document.Catalog = a.nextTime(view, from.Tag.Name), a.name, simulated
	packed, err := revision.PackRewrite(document, text, view.Seen())
	if err != nil {
		s.fail("%s cannot pack an edit of %s: %v", a.name, from.Tag, err)
		return nil
	}
	s.editors[packed.Tag] = e
	e.last, e.from[packed.Tag] = packed.Tag, from.Tag
	return a.appendUnpacked(ctx, packed, saw)
}

// overtaken reads the log again, and returns the last revision that somebody else
// appended after the base.
func (a *actor) overtaken(ctx context.Context, base *revision.Revision, own map[revision.Tag]bool) (*View, *revision.Revision, error) {
	view, err := a.process.log.Read(ctx, base.Tag.Name)
	if err != nil {
		return nil, nil, err
	}
	other, err := view.Overtaken(ctx, base.Tag, own, a.counter())
	return view, other, err
}

// checkEditors checks that no edit that was told to be done is lost while nothing but
// edits follow it that are done, too. A registry that lags hides editors from each
// other, as it does publishers.
func (s *schedule) checkEditors() {
	if s.setting.lag > 0 {
		return
	}
	for _, tag := range sortedTags(s.repository.valid) {
		e := s.editors[tag]
		if e == nil || !e.done || tag != e.last || s.repository.disturbed[tag.Name] {
			continue
		}
		all := s.repository.revisions(tag.Name, s.setting.policy)
		after := all[slices.Index(all, tag):]
		if slices.ContainsFunc(after, func(later revision.Tag) bool { return s.editors[later] == nil || !s.editors[later].done }) {
			continue
		}
		if s.hiddenBelow(tag, after) {
			continue
		}
		head := after[len(after)-1]
		if found, err := revision.Unpack(head, s.repository.content[s.repository.valid[head].digest]); err != nil || !slices.Contains(found.Document.Tags, e.word) {
			s.fail("the edit %s was told to be done, and %s lacks it (%v)", e.word, head, err)
		}
		s.edits++
	}
}

// hiddenBelow reports whether a later revision that was not made from an edit hides
// it, and somebody made another edit from that before its editor looked again. Then
// its editor finds its own change in the last revision, and the hidden one is lost:
// three edits, of which catalog.Edit does not promise more.
func (s *schedule) hiddenBelow(tag revision.Tag, after []revision.Tag) bool {
	for _, hides := range after {
		if hides == tag || tag.Compare(s.editors[hides].from[hides]) <= 0 {
			continue
		}
		for _, above := range after {
			if e := s.editors[above]; e != s.editors[hides] && e.from[above] == hides {
				return true
			}
		}
	}
	return false
}
