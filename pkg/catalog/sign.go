package catalog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Signing says how to sign.
type Signing struct {
	Signer *trust.Signer
	Format trust.Format // "" is trust.Bundle
	Image  bool         // sign the image as well, in its own repository
	// Match is the revision that somebody looked at: where another one is the head,
	// Sign refuses with a *ConflictError. "" signs the head. Nothing else reads it.
	Match digest.Digest
}

func (s *Signing) format() trust.Format {
	if s.Format == "" {
		return trust.Bundle
	}
	return s.Format
}

// sign signs a revision of this publication, and the image where that is asked
// for.
func (p *publication) sign(ctx context.Context, tag revision.Tag, revision ocispec.Descriptor) error {
	o := p.options.Sign
	if o == nil {
		return nil
	}
	var image error
	signImage := func() {
		var signed Step
		signed, image = p.catalog.writeSignature(ctx, o, p.repository, p.ref.Base(), p.image.Descriptor, nil)
		p.result.ImageSignature = &signed
	}
	var signing sync.WaitGroup
	if o.Image && !o.Signer.Keyless { // which may ask somebody to log in
		signing.Go(signImage)
	}
	written, err := p.catalog.writeSignature(ctx, o, p.catalog.repository, p.catalog.Reference(), revision, &tag)
	p.result.Signature = &written
	if signing.Wait(); err != nil {
		return err
	}
	p.warnOfRefusal(tag, revision.Digest)
	if o.Image && o.Signer.Keyless {
		signImage()
	}
	if image != nil {
		return fmt.Errorf("image: %w", image)
	}
	return nil
}

// warnOfRefusal warns if the policy refuses a revision with the signatures that are
// known of it: another key is meant to sign, or one more.
func (p *publication) warnOfRefusal(tag revision.Tag, revision digest.Digest) {
	policy := p.catalog.policy()
	if policy == nil {
		return
	}
	rule := policy.For(p.catalog.Reference(), p.name)
	if rule.Warn || !slices.Contains(rule.Require, trust.SubjectEntry) {
		return
	}
	check := rule.Check(trust.SubjectEntry, revision, evidenceOf(p.catalog.log.Signatures(tag)))
	if check.Result != entry.VerdictVerified {
		p.warn(WarnPolicy, "entry %q is signed, and the policy still refuses it: %s", p.name, check.Reason)
	}
}

// signMissing signs what is published already. A keyless signer cannot tell its
// signatures from others', so it adds one only where there is none.
func (p *publication) signMissing(ctx context.Context) error {
	o := p.options.Sign
	if o != nil && o.Signer.Keyless && len(signature.Find(ctx, p.catalog.repository, p.old.Digest).Signatures) > 0 {
		p.result.Signature.Reason = "the entry is unchanged and has signatures already"
		return nil
	}
	err := p.sign(ctx, p.old.Tag, manifestDescriptor(p.old))
	p.catalog.saveSignatures(ctx)
	return err
}

func manifestDescriptor(revision *revision.Revision) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: revision.Digest, Size: revision.Size}
}

// signer signs a revision that is about to be appended; nil signs nothing.
func (c *Catalog) signer(o *Signing, revision *revision.Revision) func(context.Context) error {
	if o == nil {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := c.signRevision(ctx, o, revision)
		return err
	}
}

// signRevision signs a revision of the log.
func (c *Catalog) signRevision(ctx context.Context, o *Signing, revision *revision.Revision) (Step, error) {
	return c.writeSignature(ctx, o, c.repository, c.Reference(), manifestDescriptor(revision), &revision.Tag)
}

// writeSignature signs a digest, unless the same key did so before, and puts
// the signature beside it; that of a revision is remembered for the next
// snapshot.
func (c *Catalog) writeSignature(ctx context.Context, o *Signing, to registry.Repository, reference string, subject ocispec.Descriptor, tag *revision.Tag) (Step, error) {
	signed := Step{Outcome: Failed, Digest: subject.Digest, Signer: o.Signer.String()}
	c.collects.Store(true)
	made, present, err := c.makeSignature(ctx, o, to, reference, subject)
	if err == nil && !present {
		err = signature.Write(referrertag.WithCatalog(ctx, c.reference.Normal().Base()), to, subject, made, c.options.Now())
	}
	if err != nil {
		signed.Reason = err.Error()
		return signed, fmt.Errorf("sign %s: %w", subject.Digest, err)
	}
	signed.Outcome = Signed
	if present {
		signed.Outcome = SignedBefore
	} else if tag != nil {
		c.log.AddSignatures(ctx, *tag, made.JSON())
	}
	return signed, nil
}

func (c *Catalog) makeSignature(ctx context.Context, o *Signing, to registry.Repository, reference string, subject ocispec.Descriptor) (made signature.Signature, present bool, err error) {
	present, err = signature.Signed(ctx, to, subject.Digest, o.format(), o.Signer.PublicKey().Key)
	if err != nil || present {
		return signature.Signature{}, present, err
	}
	made, err = o.Signer.Sign(ctx, o.format(), subject.Digest, reference)
	return made, false, err
}

// SignResult is what became of signing an entry.
type SignResult struct {
	Name           string `json:"name"`
	Tag            string `json:"tag"` // of the revision that was signed
	Signature      Step   `json:"signature"`
	ImageSignature *Step  `json:"imageSignature,omitempty"`
	// SignatureAttachment is what became of the copy of the signatures beside the
	// image; nil for what is never attached to one.
	SignatureAttachment *Step `json:"signatureAttachment,omitempty"`
}

// Sign signs the head of a name, in the last reading while that is fresh: its
// live publication, or its removal. Where the publication is attached to its
// image, its signatures are put there too. A name that never was is an
// entry.ErrNotFound.
func (c *Catalog) Sign(ctx context.Context, name string, options Signing) (SignResult, error) {
	defer c.saveSignatures(ctx)
	return c.signHead(ctx, name, options)
}

// saveSignatures writes down what was signed for the next process.
func (c *Catalog) saveSignatures(ctx context.Context) {
	if err := c.log.Save(ctx); err != nil {
		c.warn(WarnStore, "", err)
	}
}

// SignAll signs the heads of several names, as Sign does, some at a time. Each
// result is passed to done with its place among the names, from several
// goroutines at once; what was not begun when ctx ended has the error of that.
func (c *Catalog) SignAll(ctx context.Context, names []string, options Signing, done func(i int, result SignResult, err error)) {
	defer c.saveSignatures(ctx)
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for i, name := range names {
		group.Go(func() error {
			result, err := SignResult{Name: name, Signature: Step{Outcome: Skipped}}, context.Cause(ctx)
			if err == nil {
				result, err = c.signHead(ctx, name, options)
			}
			done(i, result, err)
			return nil
		})
	}
	_ = group.Wait() // never fails: each name has its own error
}

func (c *Catalog) signHead(ctx context.Context, name string, options Signing) (SignResult, error) {
	result := SignResult{Name: name, Signature: Step{Outcome: Skipped}}
	if err := entry.CheckName(name); err != nil {
		return result, err
	}
	c.opener.expectPush(c.reference)
	view, reused, err := c.recent(ctx, name)
	if err != nil {
		return result, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	if err == nil && reused && head == nil {
		if view, err = c.refresh(ctx, name); err != nil {
			return result, err
		}
		head, err = view.Head(ctx, name, zeroTime)
	}
	c.warnOf(view.Warnings())
	switch {
	case err != nil:
		return result, err
	case head == nil:
		return result, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	case head.Later != "":
		return result, head.CheckFormat()
	case options.Match != "" && options.Match != head.Digest:
		return result, newStaleRevisionError(name, head.Digest)
	}
	result.Tag = head.Tag.String()
	if result.Signature, err = c.signRevision(ctx, &options, head); err != nil {
		return result, err
	}
	result.SignatureAttachment = c.followSignature(ctx, head, result.Signature.Outcome == SignedBefore)
	if !options.Image || head.Document == nil {
		return result, nil
	}
	image := head.Document.Image
	ref, err := registry.ParseReference(image.Reference)
	if err != nil {
		return result, err
	}
	repository, err := c.opener.open(ref)
	if err != nil {
		return result, err
	}
	signed, err := c.writeSignature(ctx, &options, repository, ref.Base(), ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}, nil)
	result.ImageSignature = &signed
	return result, err
}
