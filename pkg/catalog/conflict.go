package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// compare reads the log, finds the live publication of the same name, and
// refuses what conflicts with the catalog.
func (p *publication) compare(ctx context.Context) (err error) {
	if p.view, err = p.catalog.refresh(ctx); err != nil {
		p.view, err = p.initialize(ctx, err)
	}
	if err != nil {
		return err
	}
	heads, err := p.view.Heads(ctx, zeroTime)
	p.catalog.warnOf(p.view.Warnings())
	if err != nil {
		return err
	}
	for _, head := range heads {
		if head.Tag.Name == p.name {
			err = p.meetName(ctx, head)
		} else {
			err = p.meetImage(ctx, head)
		}
		if err != nil {
			return err
		}
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
	case !p.catalog.verifies(ctx, head):
		p.warnOfStranger(head)
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
	history, err := p.view.HistoryOf(ctx, map[string]bool{p.name: true})
	if err != nil {
		return err
	}
	e := p.catalog.newEvaluator(nil, zeroTime)
	for len(history) > 0 {
		some := history[max(0, len(history)-maxParallel):]
		history = history[:len(history)-len(some)]
		reports := e.all(ctx, some)
		for i, rev := range slices.Backward(some) {
			if reports[i].Verdict != entry.VerdictVerified {
				continue
			}
			if rev.Document != nil {
				p.old = rev
			}
			return rev.CheckFormat()
		}
	}
	return nil
}

// meetImage looks at what decides another name: it has the image if both the
// reference and the digest are the same. Where only the reference is, its tag
// moved on.
func (p *publication) meetImage(ctx context.Context, head *revision.Revision) error {
	d := head.Document
	if d == nil || normalText(d.Image.Reference) != normalText(p.document.Image.Reference) {
		return nil
	}
	has := p.hasImage(head)
	switch {
	case !p.catalog.verifies(ctx, head):
		if has {
			p.warnOfStranger(head)
		}
	case !has:
		p.moved = append(p.moved, head)
	case !p.options.Move:
		return newConflictError(d.Name, d.Image.Reference)
	default:
		p.elsewhere = append(p.elsewhere, head)
		p.result.MovedFrom = append(p.result.MovedFrom, d.Name)
	}
	return nil
}

// hasImage reports whether a revision publishes the image of this publication,
// from the same reference.
func (p *publication) hasImage(head *revision.Revision) bool {
	return head.Document != nil && revision.SameImage(head.Document.Image, p.document.Image, normalText)
}

func (p *publication) warnOfStranger(head *revision.Revision) {
	p.warn(WarnPolicy, "entry %q is not verified by the policy, and does not count", head.Tag.Name)
}

// noteMoved tells that other entries were published from the same reference when
// it named another image.
func (p *publication) noteMoved() {
	if len(p.moved) == 0 {
		return
	}
	last := p.moved[0]
	for _, head := range p.moved[1:] {
		if last.Tag.Compare(head.Tag) < 0 {
			last = head
		}
	}
	others := ""
	if more := len(p.moved) - 1; more == 1 {
		others = " (and one more entry with another digest)"
	} else if more > 1 {
		others = fmt.Sprintf(" (and %d more entries with other digests)", more)
	}
	image := last.Document.Image
	p.warn(WarnMoved, "%s was published from %s too, with %s%s; the tag has moved on", last.Tag.Name, image.Reference, image.Digest, others)
}
