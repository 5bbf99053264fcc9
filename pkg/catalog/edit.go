package catalog

import (
	"cmp"
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// EditOptions say how an entry is edited.
type EditOptions struct {
	// Match is the revision that the change was made for: if another one is live, the
	// edit is refused with a *ConflictError. "" edits what is live.
	Match  digest.Digest
	Author string // recorded as publishedBy; "" is the catalog's
	DryRun bool   // write nothing at all
	// Unsigned goes on without Sign although the policy would refuse the result;
	// without it, that is an *UnsignedError.
	Unsigned bool
	Sign     *Signing // signs the revision, never the image; nil signs nothing
}

// maxEditRounds bounds how often one edit merges what others write meanwhile: of six
// who begin at once, each may find one more edit each time.
const maxEditRounds = 12

// Edit gives an entry a new revision of the same image, with a change; what the
// change does not name stays, unknown members included. The image's registry is not
// asked, so nothing is attached there. A name that is not live is an
// entry.ErrNotFound, one that the policy refuses a *trust.Error, and one that a later
// format decides an entry.ErrLaterFormat. An edit that is signed is refused as well
// where the policy only warns and does not verify the entry. Of those who edit the
// entry at the same time, none undoes what another did: what they changed is merged,
// and what is later in the log counts where they say different things. After some
// rounds the edit is an entry.ErrConflict; so is an edit of an entry that gets another
// image meanwhile. What an editor who was cut short hid, the next edit brings back.
func (c *Catalog) Edit(ctx context.Context, name string, change entry.Change, options EditOptions) (PublishResult, error) {
	if err := entry.CheckName(name); err != nil {
		return PublishResult{}, err
	}
	e := &edit{catalog: c, name: name, change: &change, options: options, own: map[revision.Tag]bool{}}
	if options.Sign != nil || !c.onlyWarns(name) {
		e.counting = c.newCounting(name)
	}
	defer e.counting.done(ctx)
	e.result.Attachment = Step{Outcome: Skipped, Reason: "an edit does not ask the image's registry"}
	if options.Sign != nil {
		e.result.Signature = &Step{Outcome: Skipped}
	}
	unlock, err := c.writers.Lock(ctx, "name "+name)
	if err != nil {
		return e.result, err
	}
	defer unlock()
	err = e.run(ctx)
	return e.result, err
}

// onlyWarns reports whether the policy shows of a name what it does not verify: to who
// edits it unsigned, others who do so are no strangers.
func (c *Catalog) onlyWarns(name string) bool {
	return c.policy() != nil && c.policy().For(c.Reference(), name).Warn
}

// edit is one edit under way.
type edit struct {
	catalog *Catalog
	name    string
	change  *entry.Change
	options EditOptions
	result  PublishResult

	view *ocilog.View
	base *revision.Revision    // that the last own revision was made from
	last *revision.Revision    // the last own revision
	own  map[revision.Tag]bool // that this edit wrote

	counting *counting // nil counts all
}

func (e *edit) run(ctx context.Context) error {
	head, err := e.begin(ctx)
	if err != nil {
		return err
	}
	merge, err := e.start(ctx, head)
	if err != nil {
		return err
	}
	if merge.Document, err = merge.Document.Changed(e.change); err != nil {
		return fmt.Errorf("edit %s: %w", e.name, err)
	}
	if revision.SameContent(head.Document, merge.Document) {
		e.result.Outcome, e.result.Item = Unchanged, head.Item()
		return nil
	}
	warning, err := e.unsigned(ctx, head)
	if err != nil {
		return fmt.Errorf("edit %s: %w", e.name, err)
	}
	if warning != nil {
		e.result.Warnings = append(e.result.Warnings, *warning)
	}
	if err := e.write(ctx, merge); err != nil || e.options.DryRun {
		return err
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	if e.result.Snapshot, err = e.catalog.compact(ctx, e.view, e.counting); err != nil {
		e.result.Warnings = append(e.result.Warnings, Warning{WarnStore, e.name, fmt.Errorf("the entry is edited, but no snapshot was written: %w", err)})
	}
	return nil
}

// begin returns what is live of the name, if it may be edited.
func (e *edit) begin(ctx context.Context) (*revision.Revision, error) {
	c := e.catalog
	if !e.options.DryRun {
		c.opener.expectPush(c.reference)
	}
	view, err := c.refresh(ctx, e.name)
	if err != nil {
		return nil, err
	}
	e.view = view
	head, err := view.Head(ctx, e.name, zeroTime)
	c.warnOf(view.Warnings())
	switch {
	case err != nil:
		return nil, err
	case head == nil || head.Tag.Op == revision.OpRemove:
		return nil, c.absent(ctx, view, e.name, zeroTime, head)
	}
	if err := c.admitBase(ctx, view, head, e.options.Sign); err != nil {
		return nil, err
	}
	if lost := lastLost(ctx, view, e.name, head.Tag).Tag; lost != (revision.Tag{}) {
		return nil, newLostError(e.name, lost)
	}
	if e.options.Match != "" && e.options.Match != head.Digest {
		return nil, newStaleRevisionError(e.name, head.Digest)
	}
	return head, nil
}

// start returns what the change is made to: what a head says and, where other edits are
// hidden by it, these as well.
func (e *edit) start(ctx context.Context, head *revision.Revision) (*ocilog.Merge, error) {
	edits, err := e.view.EditsUnder(ctx, head, e.counting.counter())
	switch {
	case err != nil:
		return nil, err
	case edits == nil:
		return ocilog.MergeOf(head), nil
	case edits.Stated == nil || sameImage(edits.Stated, head):
		return edits.Merged()
	}
	if _, err := e.unsigned(ctx, head); err != nil {
		return nil, fmt.Errorf("edit %s: %w", e.name, err)
	}
	if e.options.Sign != nil && edits.Stated.Later == "" {
		return nil, fmt.Errorf("edit %s: %w", e.name, newBuriedError(edits.Stated, head))
	}
	return nil, e.yield(ctx, edits, edits.Stated) // the writer of the head did not come to it
}

// sameImage reports whether two revisions publish one image.
func sameImage(a, b *revision.Revision) bool {
	return a.Document != nil && b.Document != nil && a.Document.Image.Digest == b.Document.Image.Digest
}

func (e *edit) unsigned(ctx context.Context, head *revision.Revision) (*Warning, error) {
	if e.options.Sign != nil {
		return nil, nil
	}
	return e.catalog.unsigned(ctx, e.view, e.name, head, &head.Document.Image, e.options.Unsigned)
}

// write appends what was merged; without Bases, it is no edit.
func (e *edit) write(ctx context.Context, merge *ocilog.Merge) error {
	c := e.catalog
	packed, next, err := c.packEdit(ctx, e.view, merge, e.options.Author)
	if err != nil {
		return err
	}
	e.result.Outcome, e.result.Item, e.result.Tag = Planned, next.Item(), packed.Tag.String()
	if e.options.DryRun {
		return nil
	}
	if err := c.log.Append(ctx, packed, e.signer(next)); err != nil {
		return fmt.Errorf("edit %s: %w", e.name, err)
	}
	c.forget()
	e.result.Outcome = Published
	e.base, e.last, e.own[next.Tag] = merge.Base, next, true
	return nil
}

// signer signs a revision while no reader sees it yet; nil signs nothing.
func (e *edit) signer(next *revision.Revision) func(context.Context) error {
	if e.options.Sign == nil {
		return nil
	}
	return func(ctx context.Context) error {
		signed, err := e.catalog.signRevision(ctx, e.options.Sign, next)
		e.result.Signature = &signed
		return err
	}
}

// settle reads the log again, and merges what others wrote meanwhile: until the last
// revision has the change, and all that an own one hides.
func (e *edit) settle(ctx context.Context) error {
	for round := 1; ; round++ {
		edits, err := e.others(ctx)
		switch {
		case err != nil:
			return err
		case edits == nil:
			return newLostError(e.name, e.last.Tag)
		case !sameImage(edits.Head, e.base):
			return e.yield(ctx, edits, nil)
		case edits.Stated != nil && !sameImage(edits.Stated, e.base):
			return e.yield(ctx, edits, edits.Stated)
		}
		merge, err := edits.Merged()
		switch {
		case err != nil:
			return fmt.Errorf("edit %s: %w", e.name, err)
		case revision.SameContent(edits.Head.Document, merge.Document):
			if edits.Head.Tag != e.last.Tag { // it was made from the own one, or says the same
				e.result.Item = edits.Head.Item()
			}
			return nil
		case round == maxEditRounds:
			return fmt.Errorf("edit %s: %w: others edit it all the time", e.name, entry.ErrConflict)
		}
		if err := e.write(ctx, merge); err != nil {
			return err
		}
	}
}

// others reads the log again, and returns what there is of the name after the base.
// Under a policy, what it does not verify does not count.
func (e *edit) others(ctx context.Context) (*ocilog.Edits, error) {
	view, err := e.catalog.refresh(ctx, e.name)
	if err != nil {
		return nil, err
	}
	e.view = view
	return view.EditsAfter(ctx, e.base.Tag, e.last.Tag, e.own, e.counting.counter())
}

// yield gives way to what is not about the image that was edited: a publication of
// another one, a removal, or a revision of a later format, which is the head; or, where
// edits of the older image hide one, that. Then what it says is said again, with what
// was edited since.
func (e *edit) yield(ctx context.Context, edits *ocilog.Edits, hidden *revision.Revision) error {
	other := cmp.Or(hidden, edits.Head)
	again := hidden != nil && !e.options.DryRun
	switch {
	case other.Later != "":
		return other.CheckFormat()
	case other.Removal != nil:
		if again {
			_, err := e.catalog.end(ctx, e.view, edits.Head, RemoveOptions{Reason: other.Removal.Reason, Author: e.options.Author, Sign: e.options.Sign})
			if err != nil {
				return err
			}
		}
		return fmt.Errorf("edit %s: it was removed meanwhile: %w", e.name, entry.ErrNotFound)
	}
	if again {
		merge, err := edits.Merged()
		if err != nil {
			return err
		}
		if err := e.write(ctx, &ocilog.Merge{Document: merge.Document, From: other, Base: other}); err != nil {
			return err
		}
	}
	return fmt.Errorf("edit %s: %w: it has another image since a moment ago, %s", e.name, entry.ErrConflict, other.Document.Image.Digest)
}
