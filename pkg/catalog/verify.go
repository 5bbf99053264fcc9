package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What Verify checks beside signatures, which are subjects of package trust.
const (
	CheckRevision   trust.Subject = "revision"   // its tag holds the entry
	CheckDigest     trust.Subject = "digest"     // what was published can be had, by its digest
	CheckReference  trust.Subject = "reference"  // what the tag that it was published by names now
	CheckContent    trust.Subject = "content"    // every platform and every layer is there
	CheckAttachment trust.Subject = "attachment" // the image knows its entry
)

// Check is one thing that was checked.
type Check struct {
	What   trust.Subject `json:"what"`
	Result Outcome       `json:"result"` // of a signature: its verdict
	Digest digest.Digest `json:"digest,omitempty"`
	Signer string        `json:"signer,omitempty"`
	Format trust.Format  `json:"format,omitempty"`
	Time   *entry.Time   `json:"time,omitempty"` // of the signature, where a trusted service says so
	Reason string        `json:"reason,omitempty"`
	Place  string        `json:"place,omitempty"` // the repository that answered, if not the one it was published in
}

// Verification is what was found out about an entry.
type Verification struct {
	Name     string        `json:"name"`
	Revision digest.Digest `json:"revision"`
	Verdict  entry.Verdict `json:"verdict,omitempty"` // empty: without a policy, signatures are not checked
	Rule     string        `json:"rule,omitempty"`
	Checks   []Check       `json:"checks"`
}

// VerifyOptions say what Verify takes for an error.
type VerifyOptions struct {
	// StrictReference wants the reference of the image to name what was published: a
	// tag that was moved is an entry.ErrConflict. Without it, that is information.
	StrictReference bool
}

// Verify checks a live entry for real: whether the image that was published can be
// had and is whole, what its tag names now, whether the image knows the entry, and
// under a policy whether its signatures are enough. What it found out is returned
// with an error too; the error has the kind of what is worst.
func (c *Catalog) Verify(ctx context.Context, name string, options VerifyOptions) (Verification, error) {
	v := Verification{Name: name}
	if err := entry.CheckName(name); err != nil {
		return v, err
	}
	view, reused, err := c.recent(ctx, name)
	if err != nil {
		return v, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	if err == nil && reused && (head == nil || head.Document == nil) {
		if view, err = c.refresh(ctx, name); err != nil {
			return v, err
		}
		head, err = view.Head(ctx, name, zeroTime)
	}
	c.warnOf(view.Warnings())
	switch {
	case err != nil:
		return v, err
	case head == nil || head.Tag.Op == revision.OpRemove:
		if vanished := view.Vanished(ctx, name, tagOf(head), zeroTime); len(vanished) > 0 && c.policy() == nil {
			return v, lostOf(name, vanished)
		}
		return v, c.absent(ctx, view, name, zeroTime, head)
	}
	return c.verify(ctx, view, head, options)
}

// tagOf returns the tag of a revision, or zero for none.
func tagOf(rev *revision.Revision) revision.Tag {
	if rev == nil {
		return revision.Tag{}
	}
	return rev.Tag
}

// verification is one under way.
type verification struct {
	*Catalog
	Verification
	options  VerifyOptions
	revision *revision.Revision
	failed   error
}

func (c *Catalog) verify(ctx context.Context, view *ocilog.View, revision *revision.Revision, options VerifyOptions) (Verification, error) {
	v := &verification{Catalog: c, options: options, revision: revision}
	v.Name, v.Revision = revision.Tag.Name, revision.Digest
	var evaluating sync.WaitGroup
	var report trust.Report
	policed := c.policy() != nil
	if policed {
		evaluating.Go(func() {
			e := c.newEvaluator(view, zeroTime)
			e.fresh = true
			report = e.report(ctx, revision)
			e.done(ctx)
		})
	}
	var found ocispec.Descriptor
	var unconfirmed error
	evaluating.Go(func() { found, unconfirmed = absence.Confirm(ctx, c.repository, revision.Tag.String()) })
	if revision.Later == "" {
		err := v.look(ctx)
		v.failed = errors.Join(v.failed, err)
	}
	evaluating.Wait()
	ofImage, failed := v.Checks, v.failed
	v.Checks, v.failed = nil, nil
	v.checkRevision(ctx, view, found, unconfirmed)
	v.Checks, v.failed = append(v.Checks, ofImage...), errors.Join(v.failed, failed)
	var refused error
	if policed {
		v.Verdict, v.Rule = report.Verdict, report.Rule
		v.Checks = append(v.Checks, signatureChecks(report)...)
		refused = c.refusal(revision, report)
		v.failed = errors.Join(v.failed, refused)
	}
	if refused == nil { // else it is a stranger's word that there is a later format
		v.failed = errors.Join(v.failed, revision.CheckFormat())
	}
	return v.Verification, v.failed
}

// checkRevision checks what the registry has under the tag of the revision: what was read of
// it, and nothing later vanished. Under a policy the latter is said with the signatures.
func (v *verification) checkRevision(ctx context.Context, view *ocilog.View, found ocispec.Descriptor, err error) {
	if err == nil && found.Digest != v.revision.Digest {
		err = fmt.Errorf("%w: tag %s was overwritten with %s", entry.ErrConflict, v.revision.Tag, found.Digest)
	}
	v.check(CheckRevision, v.revision.Digest, err)
	if vanished := view.Vanished(ctx, v.Name, v.revision.Tag, zeroTime); len(vanished) > 0 && v.policy() == nil {
		v.Checks = append(v.Checks, Check{What: trust.SubjectLatest, Result: Failed, Digest: vanished[len(vanished)-1].Digest, Reason: "a later revision is no longer in the registry"})
		v.failed = errors.Join(v.failed, lostOf(v.Name, vanished))
	}
}

// look checks the image where it can be had: the digest, and beside it what the tag
// names where it was published.
func (v *verification) look(ctx context.Context) error {
	image := v.revision.Document.Image
	ref, err := registry.ParseReference(image.Reference)
	if err != nil {
		return err
	}
	origin, err := v.opener.openAgain(ref)
	if err != nil {
		return err
	}
	repository, elsewhere, err := v.placesOf(ctx, ref, origin)
	if err != nil {
		return err
	}
	var named ocispec.Descriptor
	var unnamed error
	var asking sync.WaitGroup
	if ref.Tag != "" || ref.Digest == "" {
		tagged := ref
		asking.Go(func() { named, unnamed = v.namedNow(ctx, tagged, origin, elsewhere) })
	} else {
		named.Digest = image.Digest // a digest names what it names
	}
	described := ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}
	var attached Check
	if !elsewhere { // else it is not known yet who has it
		asking.Go(func() { attached = v.attachment(ctx, repository, described) })
	}
	ref.Tag, ref.Digest = "", image.Digest
	_, incomplete := inspect.Check(ctx, repository, ref)
	if incomplete != nil {
		_, err = absence.Confirm(ctx, repository, ref.Target())
	}
	asking.Wait()
	there := v.check(CheckDigest, image.Digest, err)
	if at := v.answeredBy(repository, image.Digest, ref); there && at != nil {
		found := &v.Checks[len(v.Checks)-1]
		found.Reason, found.Place = "at "+at.Base(), at.Base()
		if repository, err = v.opener.openAgain(*at); err != nil {
			return err
		}
	}
	v.reference(image, named.Digest, unnamed)
	if !there {
		return nil
	}
	v.check(CheckContent, image.Digest, incomplete)
	if elsewhere {
		attached = v.attachment(ctx, repository, described)
	}
	v.Checks = append(v.Checks, attached)
	return nil
}

// reference notes what the tag names by now. That it names something else, or that
// this could not be found out, is an error only to those who want it to be one.
func (v *verification) reference(image revision.Image, now digest.Digest, err error) {
	c := Check{What: CheckReference, Result: OK, Digest: now}
	switch {
	case errors.Is(err, entry.ErrNotFound):
		err = fmt.Errorf("%w: there is no %s any more", entry.ErrConflict, image.Reference)
		c.Result, c.Digest = Moved, ""
	case err != nil:
		c.Result, c.Digest = Unknown, ""
	case now != image.Digest:
		err = fmt.Errorf("%w: %s is %s now", entry.ErrConflict, image.Reference, now)
		c.Result = Moved
	}
	if err != nil {
		c.Reason = strings.TrimPrefix(err.Error(), entry.ErrConflict.Error()+": ") // that it moved is no conflict by itself
	}
	if err != nil && v.options.StrictReference {
		v.failed = errors.Join(v.failed, fmt.Errorf("entry %q: %s: %w", v.Name, CheckReference, err))
	}
	v.Checks = append(v.Checks, c)
}

// check notes the result of looking for something.
func (v *verification) check(what trust.Subject, d digest.Digest, err error) bool {
	c := Check{What: what, Result: OK, Digest: d}
	if err != nil {
		c.Result, c.Reason = Failed, err.Error()
		if !errors.Is(err, entry.ErrNotFound) && !errors.Is(err, entry.ErrConflict) && !errors.Is(err, entry.ErrInvalid) && !errors.Is(err, entry.ErrMalformed) {
			c.Result = Unknown
		}
		v.failed = errors.Join(v.failed, fmt.Errorf("entry %q: %s: %w", v.Name, what, err))
	}
	v.Checks = append(v.Checks, c)
	return err == nil
}

// attachment looks for the entry beside the image. It need not be there: nobody
// attaches to other people's images.
func (v *verification) attachment(ctx context.Context, repository registry.Repository, image ocispec.Descriptor) Check {
	c := Check{What: CheckAttachment, Result: absent}
	referrers, err := repository.Referrers(ctx, image)
	for some := range slices.Chunk(attachmentsFirst(referrers), attachmentsAtOnce) {
		found, failed := v.attachedAmong(ctx, repository, some)
		if err = cmp.Or(err, failed); found != "" {
			c.Result, c.Digest, err = OK, found, nil
			break
		}
	}
	if err != nil && !errors.Is(err, entry.ErrNotFound) {
		c.Result, c.Reason = Unknown, err.Error()
	}
	return c
}

// attachmentsAtOnce is how many attachments are read beside each other, to find one.
const attachmentsAtOnce = 16

// attachedAmong returns the first of some referrers that is the entry; "" is none.
func (v *verification) attachedAmong(ctx context.Context, repository registry.Repository, referrers []ocispec.Descriptor) (digest.Digest, error) {
	manifests, failed := make([][]byte, len(referrers)), make([]error, len(referrers))
	var reading sync.WaitGroup
	for i, referrer := range referrers {
		reading.Go(func() { _, manifests[i], failed[i] = repository.Manifest(ctx, referrer.Digest.String()) })
	}
	reading.Wait()
	var first error
	for i, manifest := range manifests {
		if failed[i] != nil {
			first = cmp.Or(first, failed[i])
			continue
		}
		revision, err := revision.UnpackAttachment(manifest)
		if err == nil && digest.FromBytes(revision) == v.revision.Digest {
			return referrers[i].Digest, nil
		}
	}
	return "", first
}
