package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// besideEntry is what the image of a live entry says of it.
type besideEntry struct {
	repository registry.Repository
	subject    ocispec.Descriptor
	where      string           // the image
	attached   bool             // or going to be, by a repair
	signed     bool             // signatures of the revision are beside it
	signatures []jsontext.Value // of it, from there
}

// examineImages looks at the images of live entries, which their publishers wrote
// beside: whether each is there, knows its entry, and is kept. It returns what is
// beside the images, by revision.
func (x *Examination) examineImages(ctx context.Context, options ExamineOptions) map[digest.Digest]*besideEntry {
	found := map[digest.Digest]*besideEntry{}
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for _, head := range x.log.Heads {
		if !head.Live() || head.Document.Source.Type == entry.SourceExternal {
			continue
		}
		group.Go(func() error {
			if beside := x.examineImage(ctx, head, options); beside != nil {
				x.mu.Lock()
				found[head.Digest] = beside
				x.mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // never fails: what was not answered is a finding
	return found
}

// unknown adds that of something nothing was found out; errors that say that there is
// nothing are none of those.
func (x *Examination) unknown(f Finding, err error) {
	f.State, f.Reason, f.turn = stateUnknown, err.Error(), turnNever
	x.add(f)
}

func (x *Examination) examineImage(ctx context.Context, head *revision.Revision, options ExamineOptions) *besideEntry {
	image := head.Document.Image
	f := Finding{What: partImage, Name: head.Tag.Name, Where: entry.Pinned(image.Reference, image.Digest), turn: turnImage}
	ref, err := registry.ParseReference(image.Reference)
	if err != nil {
		x.unknown(f, err)
		return nil
	}
	repository, err := x.catalog.opener.openAgain(ref)
	if err != nil {
		x.unknown(f, err)
		return nil
	}
	ref.Tag, ref.Digest = "", image.Digest
	manifests, err := inspect.Manifests(ctx, repository, ref)
	switch {
	case errors.Is(err, entry.ErrNotFound), errors.Is(err, absence.ErrAltered), errors.Is(err, entry.ErrMalformed):
		f.State, f.Reason, f.turn = stateLost, err.Error(), turnNever
		f.Advice = fmt.Sprintf("push the image again by its digest, or end the entry: `caib catalog remove %s`", f.Name)
		x.add(f)
		return nil
	case err != nil:
		x.unknown(f, err)
		return nil
	}
	beside := &besideEntry{repository: repository, where: f.Where, subject: ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}}
	if !options.NoKeep {
		x.examineKept(ctx, head, repository, ref, manifests)
	}
	x.examineDangling(ctx, repository, f.Name, f.Where, beside.subject)
	if !options.NoAttach {
		x.examineAttachment(ctx, head, beside)
	}
	return beside
}

// examineAttachment looks for the entry beside its image. That of an edit is the one of
// what it edits: an edit attaches nothing.
func (x *Examination) examineAttachment(ctx context.Context, head *revision.Revision, beside *besideEntry) {
	c := x.catalog
	f := Finding{What: partAttachment, Name: head.Tag.Name, Where: entry.Pinned(head.Document.Image.Reference, beside.subject.Digest), turn: turnImage}
	found, err := c.readAttachments(ctx, beside.repository, beside.subject.Digest)
	if err != nil {
		x.unknown(f, err)
		return
	}
	own := func(a *revision.Attachment) bool { return a.Revision.Digest == head.Digest }
	beside.attached = slices.ContainsFunc(found.attachments, own)
	for _, signatures := range found.signatures[head.Digest] {
		beside.signed = true
		beside.signatures = append(beside.signatures, signatures...)
	}
	edited := head.Bases != nil && slices.ContainsFunc(found.attachments, func(a *revision.Attachment) bool { return a.Revision.Tag.Name == head.Tag.Name })
	if beside.attached || edited {
		return
	}
	beside.attached = true // once it is mended
	f.State, f.Reason, f.From = stateMissing, "the image does not know its entry", "the revision"
	f.Advice = "--no-attach, where that is as it should be"
	f.mend = func(ctx context.Context) error {
		manifest, err := c.log.Manifest(ctx, head.Tag)
		if err != nil {
			return err
		}
		return stepError(c.attach(ctx, beside.repository, manifest, beside.subject))
	}
	x.add(f)
}

// stepError is why a step was not done; nil if it was.
func stepError(step Step) error {
	switch step.Outcome {
	case Attached, Kept, Signed, Skipped:
		return nil
	}
	return fmt.Errorf("%s: %s", step.Outcome, step.Reason)
}

// examineKept looks for the tags that keep the manifests of an image, and those of the
// artifacts beside it.
func (x *Examination) examineKept(ctx context.Context, head *revision.Revision, repository registry.Repository, ref registry.Reference, manifests []inspect.Manifest) {
	var all []*keeper
	for _, m := range manifests {
		all = append(all, &keeper{repository: repository, descriptor: m.Descriptor, content: m.Content})
	}
	for _, a := range head.Document.Artifacts {
		at, err := registry.ParseReference(a.Reference)
		if err != nil || at.Digest == "" || !isBeside(at, ref) {
			continue
		}
		k := &keeper{repository: repository, descriptor: ocispec.Descriptor{Digest: at.Digest}}
		if at.Base() != ref.Base() {
			if k.repository, err = x.catalog.opener.openAgain(at); err != nil {
				continue // it is said of the artifact where that is read
			}
		}
		all = append(all, k)
	}
	seen := map[digest.Digest]bool{}
	for _, k := range all {
		if seen[k.descriptor.Digest] {
			continue
		}
		seen[k.descriptor.Digest] = true
		k.tag = referrertag.Keep(x.catalog.normal, k.descriptor.Digest)
		x.examineKeeper(ctx, head, ref, k)
	}
}

func (x *Examination) examineKeeper(ctx context.Context, head *revision.Revision, ref registry.Reference, k *keeper) {
	f := Finding{What: partKeep, Name: head.Tag.Name, Where: ref.Base() + ":" + k.tag, From: "the image", turn: turnImage}
	named, err := absence.Confirm(ctx, k.repository, k.tag)
	switch {
	case err == nil && named.Digest == k.descriptor.Digest:
		return
	case err == nil:
		f.State, f.Reason = stateDamaged, fmt.Sprintf("it names %s, and not %s", named.Digest, k.descriptor.Digest)
	case errors.Is(err, entry.ErrNotFound):
		f.State, f.Reason = stateMissing, fmt.Sprintf("nothing keeps %s when the tags that it was published by move on", k.descriptor.Digest)
	default:
		f.From = ""
		x.unknown(f, err)
		return
	}
	f.Advice = "--no-keep, where that is as it should be"
	f.mend = func(ctx context.Context) error { return stepError(stepOf(Kept, k.put(ctx))) }
	x.add(f)
}

// danglingList is what a repository is whose referrers are listed in an index that
// clients write, in place of the Referrers API.
type danglingList interface {
	// Dangling returns what such an index lists and the registry does not have; nothing
	// where there is none.
	Dangling(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
	// DropDangling takes that out of the index, and leaves all else.
	DropDangling(ctx context.Context, subject ocispec.Descriptor) error
}

// examineDangling looks for referrers that are listed and gone.
func (x *Examination) examineDangling(ctx context.Context, repository registry.Repository, name, where string, subject ocispec.Descriptor) {
	listing, ok := repository.(danglingList)
	if !ok {
		return
	}
	f := Finding{What: partReferrers, Name: name, Where: where, turn: turnReferrers}
	gone, err := listing.Dangling(ctx, subject)
	switch {
	case err != nil:
		x.unknown(f, err)
		return
	case len(gone) == 0:
		return
	}
	f.State, f.From = stateDamaged, "what else is listed"
	f.Reason = fmt.Sprintf("%s in its list of referrers, such as %s, that the registry does not have", countOf(len(gone), "manifest"), gone[0].Digest)
	f.mend = func(ctx context.Context) error { return listing.DropDangling(ctx, subject) }
	x.add(f)
}

// examineOwnReferrers looks at the lists of referrers in the catalog's repository.
func (x *Examination) examineOwnReferrers(ctx context.Context) {
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for _, subject := range x.log.View.Subjects() {
		group.Go(func() error {
			x.examineDangling(ctx, x.catalog.repository, "", x.Catalog+"@"+subject.String(), ocispec.Descriptor{Digest: subject})
			return nil
		})
	}
	_ = group.Wait() // never fails
}
