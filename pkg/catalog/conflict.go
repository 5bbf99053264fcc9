package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// compare reads the log, finds the live publication of the same name, and
// refuses what conflicts with the catalog.
func (p *publication) compare(ctx context.Context) (err error) {
	if p.view, err = p.reading.result(ctx, p.catalog, p.name); err != nil {
		p.view, err = p.initialize(ctx, err)
	}
	if err != nil {
		return err
	}
	var heads []*revision.Revision
	head, err := p.view.Head(ctx, p.name, zeroTime)
	if err == nil {
		heads, err = p.view.HeadsFrom(ctx, p.document.Image.Reference)
	}
	p.catalog.warnOf(p.view.Warnings())
	if err != nil {
		return err
	}
	if head != nil {
		if err := p.meetName(ctx, head); err != nil {
			return err
		}
	}
	if err := p.meetImage(ctx, heads); err != nil {
		return err
	}
	if p.old != nil && p.mustBeNew {
		return newConflictError(p.name, "")
	}
	p.noteMoved()
	p.carryOver()
	p.complete()
	return p.inherit(ctx)
}

// meetName looks at what decides the name of the publication.
func (p *publication) meetName(ctx context.Context, head *revision.Revision) error {
	p.head = head
	switch {
	case !p.counting.counts(ctx, head):
		p.warn(WarnPolicy, "%s", p.counting.strangers("of the name", []*revision.Revision{head}))
		// What is not to be signed is not published again for a stranger's word.
		if head.Document != nil && p.options.Sign == nil && !p.mustBeNew {
			p.old = head
			return nil
		}
		return p.meetHidden(ctx)
	case head.Tag.Op == revision.OpRemove:
	case head.Later != "":
		return head.CheckFormat()
	default:
		p.old = head
	}
	return nil
}

// meetHidden looks for the publication that decides the name for those who do not
// count what strangers appended after it.
func (p *publication) meetHidden(ctx context.Context) error {
	before := p.counting.unknown()
	last, err := p.view.Last(ctx, p.name, p.counting.counter())
	if more := p.counting.unknown() - before; more > 0 {
		p.warn(WarnPolicy, "of %s of entry %q it is not known whether the policy verifies them: none of them counts", countOf(more, "earlier revision"), p.name)
	}
	if err != nil || last == nil {
		return err
	}
	if last.Document != nil {
		p.old = last
	}
	return last.CheckFormat()
}

// meetImage looks at what decides other names: one of them has the image if both the
// reference and the digest are the same. Where only the reference is, its tag moved on.
// heads are all that may be from the reference.
func (p *publication) meetImage(ctx context.Context, heads []*revision.Revision) error {
	counter := p.counting.counter()
	contenders, err := p.view.Contenders(ctx, counter, heads, p.name)
	if err != nil {
		return err
	}
	holders := ocilog.Deciding(ctx, counter, contenders, p.hasImage)
	p.warnOfStrangers(contenders)
	slices.SortFunc(holders, func(a, b *revision.Revision) int { return strings.Compare(a.Tag.Name, b.Tag.Name) })
	for _, holder := range holders {
		if !p.options.Move {
			return newConflictError(holder.Tag.Name, holder.Document.Image.Reference)
		}
		p.result.MovedFrom = append(p.result.MovedFrom, holder.Tag.Name)
	}
	p.elsewhere = holders
	p.moved = ocilog.Deciding(ctx, counter, contenders, func(r *revision.Revision) bool {
		return p.hasReference(r) && !p.hasImage(r)
	})
	return nil
}

// hasReference reports whether a revision publishes what the reference of this
// publication named then.
func (p *publication) hasReference(r *revision.Revision) bool {
	return r.Document != nil && normalText(r.Document.Image.Reference) == normalText(p.document.Image.Reference)
}

// hasImage reports whether a revision publishes the image of this publication,
// from the same reference.
func (p *publication) hasImage(head *revision.Revision) bool {
	return head.Document != nil && revision.SameImage(head.Document.Image, p.document.Image, normalText)
}

// warnOfStrangers tells, in one warning, of other names that somebody published the
// image under, and who does not count.
func (p *publication) warnOfStrangers(contenders [][]*revision.Revision) {
	var having []*revision.Revision
	for _, r := range slices.Concat(contenders...) {
		if p.hasImage(r) {
			having = append(having, r)
		}
	}
	if text := p.counting.strangers("with the image", having); text != "" {
		p.warn(WarnPolicy, "%s", text)
	}
}

// noteMoved tells that other entries were published from the same reference when
// it named another image.
func (p *publication) noteMoved() {
	if len(p.moved) == 0 {
		return
	}
	last := p.moved[len(p.moved)-1]
	others := ""
	if more := len(p.moved) - 1; more == 1 {
		others = " (and one more entry with another digest)"
	} else if more > 1 {
		others = fmt.Sprintf(" (and %d more entries with other digests)", more)
	}
	image := last.Document.Image
	p.warn(WarnMoved, "%s was published from %s too, with %s%s; the tag has moved on", last.Tag.Name, image.Reference, image.Digest, others)
}
