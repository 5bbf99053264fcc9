package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/kinded"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// clockSlack is how much later than its build was completed an image may say that it
// was created: the clocks of builders and clusters differ.
const clockSlack = time.Minute

// maxBuildName bounds the name of a build, as Kubernetes does.
const maxBuildName = 253

// reproducible is before every build that there was: what tools write for the time of
// a reproducible image is before it.
var reproducible = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// built is what is known of the build of a publication.
type built struct {
	before     *revision.Revision  // its newest publication under the name; nil for none
	mismatches []revision.Mismatch // between what it says and what is published
	override   bool                // asked for now, not carried over from another entry
}

// check reports what cannot be what a build says.
func (b *ImageBuild) check() error {
	if len(b.Name) > maxBuildName {
		return fmt.Errorf("%w: the name of the build is longer than %d characters", entry.ErrInvalid, maxBuildName)
	}
	for _, d := range []digest.Digest{b.Digest, b.DiskDigest} {
		if d != "" && d.Validate() != nil {
			return fmt.Errorf("%w: the digest of the build: want sha256: and 64 hexadecimal digits", entry.ErrInvalid)
		}
	}
	return nil
}

// recall reads from the log which entry the build is a version of, and which digest it
// was published with before: its tag may name another image by now.
func (p *publication) recall(ctx context.Context) error {
	o := &p.options
	if o.ImageBuild.Name == "" {
		return nil
	}
	view, err := p.catalog.refresh(ctx, p.name)
	switch {
	case isHidden(err): // nothing is known; compare reads again, and says it
	case err != nil:
		return err
	default:
		if err := p.nameByReference(ctx, view); err != nil {
			return err
		}
		if err := p.findBuild(ctx, view); err != nil {
			return err
		}
	}
	if err := entry.CheckName(p.name); err != nil {
		return err
	}
	if p.name != o.ImageBuild.Name {
		o.Version = cmp.Or(o.Version, o.ImageBuild.Name)
	}
	return nil
}

// nameByReference gives a publication that has no name that of the one live entry with
// its reference. Under a policy only those that it verifies count.
func (p *publication) nameByReference(ctx context.Context, view *ocilog.View) error {
	if p.options.Name != "" {
		return nil
	}
	counting := p.catalog.newCounting("")
	defer counting.done(ctx)
	heads, err := view.HeadsFrom(ctx, p.ref.String())
	if err != nil {
		return err
	}
	contenders, err := view.Contenders(ctx, counting.counter(), heads, "")
	if err != nil {
		return err
	}
	reference := normalText(p.ref.String())
	found := ocilog.Deciding(ctx, counting.counter(), contenders, func(r *revision.Revision) bool {
		return r.Document != nil && normalText(r.Document.Image.Reference) == reference
	})
	switch {
	case len(found) == 1:
		p.name = found[0].Tag.Name
	case counting.unknown() > 0:
		return fmt.Errorf("%w: which entry build %s is a version of is not known: it could not be checked which of those with its reference the policy verifies", entry.ErrUnreachable, p.name)
	}
	return nil
}

// findBuild finds the newest publication of the build under the name since its last
// removal, and takes its digests for those of the build. Under a policy only what it
// verifies counts; without one, who signs takes only their own word for it.
func (p *publication) findBuild(ctx context.Context, view *ocilog.View) error {
	history, err := view.HistoryOf(ctx, map[string]bool{p.name: true})
	if err != nil {
		return err
	}
	counting := p.catalog.newCounting(p.name)
	defer counting.done(ctx)
	made := &p.options.ImageBuild
	for _, rev := range slices.Backward(history) {
		isOf := rev.Document != nil && made.isOf(rev.Document)
		switch {
		case !isOf && rev.Tag.Op != revision.OpRemove, !counting.counts(ctx, rev):
			continue
		case isOf && p.catalog.policy() == nil && p.options.Sign != nil:
			if own, err := p.catalog.signedWith(ctx, rev, p.options.Sign); err != nil || !own {
				return err
			}
		}
		if isOf {
			p.built.before = rev
			p.recallDigests(rev.Document)
		}
		return nil
	}
	return nil
}

// recallDigests takes those of an earlier publication of the build for its own, but for
// what was published although the build did not make it. A build that does not say when
// it was completed may have been made again under its name.
func (p *publication) recallDigests(d *revision.Document) {
	made := &p.options.ImageBuild
	if made.CompletedAt.IsZero() {
		return
	}
	if made.Digest == "" && !isOverridden(d, false) {
		made.Digest = d.Image.Digest
	}
	if made.DiskDigest == "" && !isOverridden(d, true) {
		made.DiskDigest = diskDigest(d, p.options.Disk)
	}
}

// isOf reports whether a document is of the build.
func (b *ImageBuild) isOf(d *revision.Document) bool {
	return d.Source.ImageBuild == b.Name && completedAt(d).Equal(b.CompletedAt.Time)
}

// completedAt is when the build of an entry was completed; zero where it does not say.
func completedAt(d *revision.Document) time.Time {
	at, _ := time.Parse(time.RFC3339, d.Labels[imagebuild.LabelCompleted])
	return entry.NewTime(at).Time
}

// diskDigest is that of the disk image with a reference, of which an entry has files;
// "" if it cannot be told.
func diskDigest(d *revision.Document, reference string) (found digest.Digest) {
	if reference == "" {
		return ""
	}
	repository := normalText(entry.Repository(reference))
	for _, a := range d.Artifacts {
		base, pin, _ := strings.Cut(a.Reference, "@")
		switch {
		case normalText(base) != repository:
		case found != "" && found != digest.Digest(pin):
			return ""
		default:
			found = digest.Digest(pin)
		}
	}
	return found
}

// isOverridden reports whether an entry was published although its image, or its disk
// image, is another one than its build made.
func isOverridden(d *revision.Document, disk bool) bool {
	return slices.ContainsFunc(d.Mismatches, func(m revision.Mismatch) bool {
		is, ofDisk := m.IsOfBuild()
		return is && ofDisk == disk
	})
}

// inspectBuilt reads an image that was built: by the digest that its build made, or
// else by its reference, if that can still name what the build made. of begins the
// fields of mismatches: it is "" for the image itself, and revision.OfDisk for its disk
// image.
func (p *publication) inspectBuilt(ctx context.Context, from registry.Repository, ref registry.Reference, made digest.Digest, of string) (*inspect.Image, error) {
	if made == "" || ref.Digest != "" {
		image, err := inspect.Inspect(ctx, from, ref)
		switch {
		case err != nil:
			return nil, err
		case made != "" && image.Descriptor.Digest != made:
			return image, p.mismatched(ref, of+revision.MismatchDigest, image.Descriptor.Digest.String(), made.String())
		case ref.Digest != "":
			return image, nil
		}
		return image, p.compareTimes(ref, image, of)
	}
	pinned := ref
	pinned.Digest = made
	image, err := inspect.Inspect(ctx, from, pinned)
	if !errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrUnreachable) {
		return image, err
	}
	if image, err = inspect.Inspect(ctx, from, ref); err != nil {
		return nil, err
	}
	return image, p.mismatched(ref, of+revision.MismatchDigest, image.Descriptor.Digest.String(), made.String())
}

// compareTimes refuses an image that was created after its build was completed: its
// tag has moved since. What proves nothing is noted.
func (p *publication) compareTimes(ref registry.Reference, image *inspect.Image, of string) error {
	made, at := &p.options.ImageBuild, image.Observed.CreatedAt
	began, completed := made.StartedAt, made.CompletedAt
	doubt := ""
	switch {
	case made.Name == "":
		return nil
	case completed.IsZero():
		doubt = "the build says neither its digest nor when it was completed"
	case at == nil:
		doubt = "the image does not say when it was created"
	case at.Sub(completed.Time) > clockSlack:
		return p.mismatched(ref, of+revision.MismatchCreated, at.Format(time.RFC3339), completed.Format(time.RFC3339))
	case at.Before(reproducible):
		doubt = fmt.Sprintf("the image says that it was created at %s, as reproducible ones do", at.Format(time.RFC3339))
	case !began.IsZero() && began.Sub(at.Time) > clockSlack:
		doubt = fmt.Sprintf("the image says that it was created at %s, before the build began at %s", at.Format(time.RFC3339), began.Format(time.RFC3339))
	default:
		return nil
	}
	p.warn(WarnMoved, "whether %s still names what build %q made is not known: %s", ref, made.Name, doubt)
	return nil
}

// mismatched refuses what the build did not make, or records it where the publisher
// overrides that.
func (p *publication) mismatched(ref registry.Reference, field, image, build string) error {
	m := revision.Mismatch{Field: field, Image: image, Publisher: build, Overridden: true}
	if p.built.override {
		p.built.mismatches = append(p.built.mismatches, m)
		return nil
	}
	text := "%s was created at %s, and build %q completed at %s: the tag has moved since"
	if strings.HasSuffix(field, revision.MismatchDigest) {
		text = "%s is %s now, and what build %q made is gone: %s"
	}
	return kinded.New(entry.ErrDigest, "%v: "+text, entry.ErrConflict, ref, image, cmp.Or(p.options.ImageBuild.Name, p.options.Source.ImageBuild), build)
}

// isEarlierBuild reports whether the build is a version of the entry already, as it
// would be published now, and a later one decides the entry: then nothing changes.
func (p *publication) isEarlierBuild() bool {
	made, before := &p.options.ImageBuild, p.built.before
	if before == nil || p.old == nil || before.Tag == p.old.Tag || made.isOf(p.old.Document) {
		return false
	}
	if last := completedAt(p.old.Document); !last.IsZero() && last.Before(made.CompletedAt.Time) {
		return false
	}
	return revision.SameContent(before.Document, p.document)
}
