package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Loss is an entry whose latest revision this reader knows, and the registry no
// longer has.
type Loss struct {
	Name     string     `json:"name"`
	Tag      string     `json:"tag"`                // of the latest revision that is lost
	At       entry.Time `json:"at"`                 // when that was written
	Standing string     `json:"standing,omitempty"` // tag of what decides the name now; empty for nothing
}

// Losses returns the entries that are lost, by name. However many they are, it
// is not taken for a fault of the registry.
func (c *Catalog) Losses(ctx context.Context) ([]Loss, error) {
	view, err := c.log.ReadIncomplete(ctx)
	if err != nil {
		return nil, err
	}
	heads, err := view.Heads(ctx, zeroTime)
	if err != nil {
		return nil, err
	}
	standing := map[string]revision.Tag{}
	for _, head := range heads {
		standing[head.Tag.Name] = head.Tag
	}
	var losses []Loss
	names := slices.Concat(view.VanishedNames(zeroTime), view.UnreadableNames())
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if last := lastLost(ctx, view, name, standing[name]); last.Tag != (revision.Tag{}) {
			loss := Loss{Name: name, Tag: last.Tag.String(), At: last.Tag.Time()}
			if standing[name] != (revision.Tag{}) {
				loss.Standing = standing[name].String()
			}
			losses = append(losses, loss)
		}
	}
	return losses, nil
}

// lastLost returns the latest revision of a name that is lost and later than its
// head: it vanished or, where there is a head, cannot be read. It is zero where nothing
// is lost.
func lastLost(ctx context.Context, view *ocilog.View, name string, standing revision.Tag) (last ocilog.HeadRef) {
	for _, vanished := range view.Vanished(ctx, name, standing, zeroTime) {
		last = vanished.HeadRef
	}
	if standing == (revision.Tag{}) {
		return last // what never was a revision is not lost
	}
	for _, tag := range view.Unreadable(name, standing, zeroTime) {
		if last.Tag.Compare(tag) < 0 {
			last = ocilog.HeadRef{Tag: tag}
		}
	}
	return last
}

// AcceptLossOptions say how a loss is accepted.
type AcceptLossOptions struct {
	Author string   // recorded as publishedBy or removedBy; "" is the catalog's
	Sign   *Signing // signs what is appended; nil signs nothing
	// Local writes nothing to the registry: what was seen of the entry, or of all for
	// the name "", is forgotten in this reader only, because the registry was
	// replaced, or set back by those who run it. The event is zero.
	Local bool
}

// mayStand reports whether the policy lets a revision be said again: it verifies it,
// or only warns and nobody signs it.
func (c *Catalog) mayStand(ctx context.Context, revision *revision.Revision, sign *Signing) bool {
	return c.verifies(ctx, revision) || sign == nil && c.policy().For(c.Reference(), revision.Tag.Name).Warn
}

// AcceptLoss appends the head of a name whose latest revision vanished, or cannot
// be read, or a removal where it has no head, dated after what is lost: then
// every reader moves on by the order of the log. A name of which nothing is lost is an
// entry.ErrNotFound. Under a policy that enforces, what is appended must be signed.
// Under any, a head that is signed anew must be verified: that would vouch for a
// stranger.
func (c *Catalog) AcceptLoss(ctx context.Context, name string, options AcceptLossOptions) (entry.Event, error) {
	if options.Local {
		return entry.Event{}, c.forgetLoss(ctx, name)
	}
	if err := entry.CheckName(name); err != nil {
		return entry.Event{}, err
	}
	unlock, err := c.writers.Lock(ctx, "name "+name)
	if err != nil {
		return entry.Event{}, err
	}
	defer unlock()
	c.opener.expectPush(c.reference)
	view, err := c.log.ReadIncomplete(ctx, name)
	if err != nil {
		return entry.Event{}, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	c.warnOf(view.Warnings())
	if err != nil {
		return entry.Event{}, err
	}
	last := lastLost(ctx, view, name, tagOf(head))
	if last.Tag == (revision.Tag{}) {
		return entry.Event{}, fmt.Errorf("nothing of entry %q is lost: %w", name, entry.ErrNotFound)
	}
	if c.policy() != nil && options.Sign == nil && !c.policy().For(c.Reference(), name).Warn {
		return entry.Event{}, fmt.Errorf("%w: the policy demands a signature of what accepts the loss of %q", entry.ErrInvalid, name)
	}
	if head != nil && !c.mayStand(ctx, head, options.Sign) {
		return entry.Event{}, &trust.Error{
			What: fmt.Sprintf("the head of entry %q", name), Digest: head.Digest, Verdict: entry.VerdictUntrusted,
			Reason: "the policy does not verify it; publish the entry again, or remove it",
		}
	}
	if err := c.checkOwnSignature(ctx, head, options.Sign); err != nil {
		return entry.Event{}, err
	}
	event, err := c.moveOn(ctx, view, head, last, options)
	if err == nil {
		if _, err := c.compact(ctx, view, nil); err != nil {
			c.warn(WarnStore, name, fmt.Errorf("the loss of entry %q is accepted, but no snapshot was written: %w", name, err))
		}
	}
	return event, err
}

// signedWith reports whether a revision has a signature of a key. A keyless signer has
// none that can be told from others'.
func (c *Catalog) signedWith(ctx context.Context, rev *revision.Revision, sign *Signing) (bool, error) {
	if sign.Signer.Keyless {
		return false, nil
	}
	for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
		signed, err := signature.Signed(ctx, c.repository, rev.Digest, format, sign.Signer.PublicKey().Key)
		if signed || err != nil {
			return signed, err
		}
	}
	return false, nil
}

// checkOwnSignature returns an error if the head is to be signed once more, no policy says
// whose it may be, and the key has not signed it before: it may be anybody's.
func (c *Catalog) checkOwnSignature(ctx context.Context, head *revision.Revision, sign *Signing) error {
	if head == nil || sign == nil || c.policy() != nil {
		return nil
	}
	if signed, err := c.signedWith(ctx, head, sign); signed || err != nil {
		return err
	}
	return &trust.Error{
		What: fmt.Sprintf("the head of entry %q", head.Tag.Name), Digest: head.Digest, Verdict: entry.VerdictUntrusted,
		Reason: "it is not signed with this key, and no policy says who may have published it; publish the entry again, or remove it",
	}
}

// moveOn appends the head of a name, or a removal.
func (c *Catalog) moveOn(ctx context.Context, view *ocilog.View, head *revision.Revision, last ocilog.HeadRef, options AcceptLossOptions) (entry.Event, error) {
	defer c.forget()
	if head == nil || head.Tag.Op == revision.OpRemove {
		lost := &revision.Revision{Tag: last.Tag, Digest: last.Digest}
		if lost.Digest == "" {
			lost = head // what cannot be read has no digest of its own, and is lost only behind something
		}
		removal, err := c.end(ctx, view, lost, RemoveOptions{Reason: "lost: " + last.Tag.String(), Author: options.Author, Sign: options.Sign})
		if err != nil {
			return entry.Event{}, err
		}
		return removal.Event(), nil
	}
	return c.restate(ctx, view, head, options)
}

// restate appends what an entry says once more, as of now.
func (c *Catalog) restate(ctx context.Context, view *ocilog.View, head *revision.Revision, options AcceptLossOptions) (entry.Event, error) {
	if err := head.CheckFormat(); err != nil {
		return entry.Event{}, err
	}
	packed, next, err := c.packDocument(ctx, view, head.Document, head, options.Author)
	if err != nil {
		return entry.Event{}, err
	}
	if err := c.log.Append(ctx, packed, c.signer(options.Sign, next)); err != nil {
		return entry.Event{}, fmt.Errorf("accept the loss of %s: %w", head.Tag.Name, err)
	}
	return next.Event(), nil
}

// forgetLoss forgets what was seen of an entry, or of all for "".
func (c *Catalog) forgetLoss(ctx context.Context, name string) error {
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return err
		}
	}
	defer c.forget()
	return c.log.Forget(ctx, name)
}
