package catalog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// maxTies bounds how often a publication is dated anew because another one of its
// name has the same time.
const maxTies = 3

// maxSettleWait bounds how long publishers that settle later have to withdraw.
const maxSettleWait = 5 * time.Second

// write appends the revision, and settles with those who published at the same
// time.
func (p *publication) write(ctx context.Context) error {
	for ties := 0; ; ties++ {
		begun := time.Now()
		if p.endAttachment(); !p.options.NoAttach {
			p.attachment = p.catalog.startAttachment(ctx, p.repository, p.packed.Manifest, p.image.Descriptor)
		}
		listed, err := p.catalog.log.AppendListed(ctx, p.packed, p.signer())
		if err != nil {
			return fmt.Errorf("publish %s: %w", p.name, err)
		}
		p.catalog.forget()
		p.result.Outcome = Published
		// Where the own tag was late, the removals of others are.
		wait := max(cmp.Or(p.catalog.options.Recheck, time.Second), min(time.Since(begun), maxSettleWait))
		settled, err := p.settle(ctx, listed, wait)
		if err != nil || settled.Outcome != ocilog.SettledTied || ties == maxTies {
			return err
		}
		p.view = settled.View
		if err := p.pack(ctx); err != nil {
			return err
		}
	}
}

// endAttachment waits for what is under way of an attachment.
func (p *publication) endAttachment() {
	if p.attachment != nil {
		<-p.attachment.done
	}
}

// settle reads the log again: no lock spans processes, so others may have
// published the same name or image since compare. What it decided about the own
// revision is done, and told by conflicting.
func (p *publication) settle(ctx context.Context, listed []string, wait time.Duration) (ocilog.Settlement, error) {
	s := &ocilog.Settling{Own: p.own, Same: p.hasImage, Counter: p.counting.counter(), Before: p.view, Listed: listed, Wait: wait}
	for _, head := range p.elsewhere {
		s.Ended = append(s.Ended, head.Tag)
	}
	before := p.counting.unknown()
	settled, err := p.catalog.log.Settle(ctx, s)
	if more := p.counting.unknown() - before; more > 0 {
		p.warn(WarnPolicy, "of %s that appeared at the same time it is not known whether the policy verifies them: whether another entry has the name or image of %s is not known", countOf(more, "revision"), p.name)
	}
	if p.begins && isHidden(err) {
		p.warn(WarnLog, "the catalog is begun, and its registry does not show it yet: whether another entry has its name or image is not known")
		return ocilog.Settlement{View: p.view}, nil
	}
	if err != nil {
		return settled, fmt.Errorf("%s is published, but whether another entry has its name or image at the same time is not known: %w", p.name, err)
	}
	p.catalog.warnOf(settled.View.Warnings())
	by := settled.By
	switch settled.Outcome {
	case ocilog.SettledSuperseded:
		if by == nil {
			return settled, newLostError(p.name, p.own.Tag)
		}
		p.conflict = newSupersededError(by)
	case ocilog.SettledStays:
		p.conflict = newTwiceError(p.name, by)
	case ocilog.SettledWithdraws:
		if err := p.withdraw(ctx, settled.View, by.Tag.Name); err != nil {
			return settled, fmt.Errorf("%w, and %s, published at the same time, is not withdrawn: %w", newConflictError(by.Tag.Name, by.Document.Image.Reference), p.name, err)
		}
		return settled, newWithdrawnError(p.name, by)
	case ocilog.SettledAlone:
		return settled, p.meetPreceding(ctx, settled.View)
	}
	return settled, nil
}

// meetPreceding looks at what the own revision is in front of, where the log shows more
// of the name than it did in compare: a registry that lags, or somebody who published at
// the same time. Who asked for a new name has not got one, and others did not see what
// the entry loses.
func (p *publication) meetPreceding(ctx context.Context, view *ocilog.View) error {
	if !view.HasMoreBefore(p.own.Tag, p.view) {
		return nil
	}
	before, err := view.Preceding(ctx, p.own.Tag, p.counting.counter())
	switch {
	case err != nil:
		return fmt.Errorf("%s is published, but what it is in front of is not known: %w", p.name, err)
	case before == nil || before.Tag.Op == revision.OpRemove:
	case p.mustBeNew:
		p.conflict = newHidingError(p.name, p.own.Tag, before)
	default:
		p.warn(WarnEntry, "entry %q was published by somebody else, which the registry did not show before: %s is in front of %s", p.name, p.own.Tag, before.Tag)
		if before.Document != nil {
			p.old = before
			p.noteLosses()
		}
	}
	return nil
}

// withdraw ends the own publication by a removal with the very time of it, which
// sorts after it and ends nothing later.
func (p *publication) withdraw(ctx context.Context, view *ocilog.View, by string) error {
	packed, err := revision.PackRemoval(&revision.Removal{
		Name: p.name, Reason: "withdrawn: its image is published as " + by + " already", Revision: p.own.Digest,
		RemovedAt: p.own.Tag.Time(), RemovedBy: p.own.Document.PublishedBy, Catalog: p.catalog.normal,
	}, view.Seen())
	if err != nil {
		return err
	}
	removal, err := revision.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		return err
	}
	if err := p.catalog.log.Append(ctx, packed, p.catalog.signer(p.options.Sign, removal)); err != nil {
		return err
	}
	p.catalog.forget()
	p.result.Outcome = Skipped
	return nil
}

// conflicting tells of a publication that stays although it conflicts.
func (p *publication) conflicting(context.Context) error {
	if p.conflict == nil {
		return nil
	}
	return p.conflict
}
