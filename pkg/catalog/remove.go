package catalog

import (
	"cmp"
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// RemoveOptions say why an entry goes.
type RemoveOptions struct {
	Reason string
	Author string   // recorded as removedBy; "" is the catalog's
	Sign   *Signing // signs the removal; nil signs nothing
	// Unsigned goes on without Sign although the policy would refuse the result;
	// without it, that is an *UnsignedError.
	Unsigned bool
}

// RemoveResult is what became of a removal.
type RemoveResult struct {
	Event entry.Event
	// Attachment is what became of telling the image of what was removed; it is skipped
	// where the image is somebody else's. SignatureAttachment is that of the
	// signatures beside it; nil where there are none.
	Attachment          Step
	SignatureAttachment *Step
	// Warnings are what went less than well without making the removal less valid.
	Warnings []Warning
}

// Remove ends an entry by appending a removal; its revisions stay readable in
// the history. A name that is not live is an entry.ErrNotFound. Under a policy, a
// removal that it does not verify ended nothing.
func (c *Catalog) Remove(ctx context.Context, name string, options RemoveOptions) (RemoveResult, error) {
	if err := entry.CheckName(name); err != nil {
		return RemoveResult{}, err
	}
	c.opener.expectPush(c.reference)
	view, result, ended, removal, err := c.endHead(ctx, name, options)
	if err != nil {
		return RemoveResult{}, err
	}
	c.attachRemoval(ctx, ended, removal, options.Sign, &result)
	if _, err := c.compact(ctx, view, nil); err != nil {
		result.Warnings = append(result.Warnings, Warning{WarnStore, name, fmt.Errorf("the entry is removed, but no snapshot was written: %w", err)})
	}
	return result, nil
}

// endHead appends the removal of the head, while no other writer of this
// catalog decides about the name.
func (c *Catalog) endHead(ctx context.Context, name string, options RemoveOptions) (view *ocilog.View, result RemoveResult, head, removal *revision.Revision, err error) {
	unlock, err := c.writers.Lock(ctx, "name "+name)
	if err != nil {
		return nil, result, nil, nil, err
	}
	defer unlock()
	if view, err = c.refresh(ctx, name); err != nil {
		return nil, result, nil, nil, err
	}
	head, err = view.Head(ctx, name, zeroTime)
	c.warnOf(view.Warnings())
	switch {
	case err != nil:
		return nil, result, nil, nil, err
	case head == nil, head.Tag.Op == revision.OpRemove && c.verifies(ctx, head):
		return nil, result, nil, nil, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	}
	if options.Sign == nil {
		warning, err := c.unsigned(ctx, view, name, head, nil, options.Unsigned)
		if err != nil {
			return nil, result, nil, nil, fmt.Errorf("remove %s: %w", name, err)
		}
		if warning != nil {
			result.Warnings = append(result.Warnings, *warning)
		}
	}
	removal, err = c.end(ctx, view, head, options)
	if err != nil {
		return nil, result, nil, nil, err
	}
	result.Event = removal.Event()
	return view, result, head, removal, nil
}

// attachRemoval puts a removal, and its signatures, beside the image of what it ends, if
// that is one that the catalog publishes: an image that was added is somebody else's,
// and what a policy does not verify is anybody's word.
func (c *Catalog) attachRemoval(ctx context.Context, ended, removal *revision.Revision, sign *Signing, result *RemoveResult) {
	result.Attachment = Step{Outcome: Skipped}
	if ended.Document == nil || ended.Document.Source.Type == entry.SourceExternal || !c.verifies(ctx, ended) {
		return
	}
	image := ended.Document.Image
	subject := ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}
	ref, err := registry.ParseReference(image.Reference)
	var repository registry.Repository
	if err == nil {
		repository, err = c.opener.openAgain(ref)
	}
	var manifest []byte
	if err == nil {
		manifest, err = c.log.Manifest(ctx, removal.Tag)
	}
	if err != nil {
		result.Attachment = attachmentOf(err)
		return
	}
	result.Attachment = c.attach(ctx, repository, manifest, subject)
	if sign != nil && result.Attachment.Outcome == Attached {
		step := c.attachSignatures(ctx, repository, removal, subject, nil)
		result.SignatureAttachment = &step
	}
}

// end appends the removal of a revision.
func (c *Catalog) end(ctx context.Context, view *ocilog.View, head *revision.Revision, options RemoveOptions) (*revision.Revision, error) {
	name := head.Tag.Name
	packed, err := revision.PackRemoval(&revision.Removal{
		Name: name, Reason: options.Reason, Revision: head.Digest,
		RemovedAt: revision.NextTime(c.options.Now(), name, view.Tags()), RemovedBy: cmp.Or(options.Author, c.options.Author),
		Catalog: c.normal,
	}, view.Seen())
	if err != nil {
		return nil, err
	}
	revision, err := revision.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		return nil, err
	}
	if err := c.log.Append(ctx, packed, c.signer(options.Sign, revision)); err != nil {
		return nil, fmt.Errorf("remove %s: %w", name, err)
	}
	c.forget()
	return revision, nil
}
