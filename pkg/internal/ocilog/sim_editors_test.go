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
	last revision.Tag // the last revision that it wrote
	done bool         // it was told that it edited the entry
}

// edit gives an entry one more word, as catalog.Edit does: what it decides by is the
// same code, View.EditsUnder, View.EditsAfter and Edits.Merged.
func (a *actor) edit(ctx context.Context, name string) {
	s := a.schedule
	view, head, saw, err := a.decide(ctx, a.process.log.Read, name)
	if err != nil || head == nil || head.Document == nil || !a.counts(head) {
		return
	}
	a.serial++
	e := &editing{word: fmt.Sprintf("edit-%d-%d", a.index, a.serial)}
	merge := MergeOf(head)
	under, err := view.EditsUnder(ctx, head, a.counter())
	if err == nil && under != nil {
		if under.Stated != nil && !sameImage(under.Stated, head) {
			a.restate(ctx, view, under, saw)
			return
		}
		merge, err = under.Merged()
	}
	if err == nil {
		merge.Document, err = merge.Document.Changed(&entry.Change{AddTags: []string{e.word}})
	}
	own := map[revision.Tag]bool{}
	for round := 1; err == nil; round++ {
		last := a.appendEdit(ctx, view, merge, saw, e)
		if last == nil {
			return
		}
		own[last.Tag] = true
		saw = s.shown(a.repository)
		if view, err = a.process.log.Read(ctx, name); err != nil {
			return
		}
		edits, err := view.EditsAfter(ctx, merge.Base.Tag, last.Tag, own, a.counter())
		if err != nil || edits == nil || !sameImage(edits.Head, head) {
			return // it gives way; what it was told is none of this
		}
		if edits.Stated != nil && !sameImage(edits.Stated, head) {
			a.restate(ctx, view, edits, saw)
			return
		}
		if merge, err = edits.Merged(); err != nil {
			s.fail("%s cannot merge %s: %v", a.name, edits.Head.Tag, err)
			return
		}
		if e.done = revision.SameContent(edits.Head.Document, merge.Document); e.done || round == 12 {
			s.note("%s: the edit %s is over: %t", a.name, e.word, e.done)
			return
		}
	}
}

// restate says again what an edit of an older image hides, and what was edited since.
func (a *actor) restate(ctx context.Context, view *View, edits *Edits, saw int) {
	switch other := edits.Stated; {
	case other.Removal != nil:
		_ = a.end(ctx, view, other.Tag.Name, edits.Head.Digest, saw)
	case other.Document != nil:
		merge, err := edits.Merged()
		if err != nil {
			a.schedule.fail("%s cannot say %s again: %v", a.name, other.Tag, err)
			return
		}
		merge.Bases = nil
		packed := a.packMerge(ctx, view, merge)
		if packed != nil {
			_ = a.append(ctx, packed, saw)
		}
	}
}

func sameImage(a, b *revision.Revision) bool {
	return a.Document != nil && b.Document != nil && a.Document.Image.Digest == b.Document.Image.Digest
}

// appendEdit appends an edit; nil is one that failed.
func (a *actor) appendEdit(ctx context.Context, view *View, merge *Merge, saw int, e *editing) *revision.Revision {
	packed := a.packMerge(ctx, view, merge)
	if packed == nil {
		return nil
	}
	a.schedule.editors[packed.Tag] = e
	e.last = packed.Tag
	return a.appendUnpacked(ctx, packed, saw)
}

func (a *actor) packMerge(ctx context.Context, view *View, merge *Merge) *revision.Packed {
	text, err := a.process.log.DocumentText(ctx, merge.From.Tag)
	if err != nil {
		return nil
	}
	document := *merge.Document
	document.PublishedAt, document.PublishedBy, document.Catalog = a.nextTime(view, document.Name), a.name, a.repository.id
	packed, err := revision.PackEdit(&document, text, view.Seen(), merge.Bases)
	if err != nil {
		a.schedule.fail("%s cannot pack what is made of %s: %v", a.name, merge.From.Tag, err)
		return nil
	}
	return packed
}

// checkEditors checks that no edit that was told to be done is lost while nothing but
// edits follow it, the last of which is done, too: those in between may have been cut
// short. A registry that lags hides editors from each
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
		if last := s.editors[after[len(after)-1]]; last == nil || !last.done || slices.ContainsFunc(after, func(later revision.Tag) bool { return s.editors[later] == nil }) {
			continue
		}
		head := after[len(after)-1]
		if found, err := revision.Unpack(head, s.repository.content[s.repository.valid[head].digest]); err != nil || !slices.Contains(found.Document.Tags, e.word) {
			s.fail("the edit %s was told to be done, and %s lacks it (%v)", e.word, head, err)
		}
		s.edits++
	}
}
