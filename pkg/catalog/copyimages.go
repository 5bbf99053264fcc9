package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// before copies what a revision needs before readers may see it: its image, and its
// signatures.
func (r *copying) before(ctx context.Context, item *ocilog.CopyItem) error {
	if document := item.Revision.Document; document != nil && r.wantsImage(item.Revision.Tag) {
		if err := r.copyImages(ctx, item.Revision); err != nil {
			return err
		}
	}
	return r.copySignatures(ctx, item)
}

// wantsImage reports whether the image of a publication is copied: that of one which
// can still be had by its version.
func (r *copying) wantsImage(tag revision.Tag) bool {
	return !r.options.NoImages && tag.Compare(r.removed[tag.Name]) > 0
}

// lastRemovals returns the tag of the last removal of each name among some tags.
func lastRemovals(tags []revision.Tag) map[string]revision.Tag {
	last := map[string]revision.Tag{}
	for _, tag := range tags {
		if tag.Op == revision.OpRemove && tag.Compare(last[tag.Name]) > 0 {
			last[tag.Name] = tag
		}
	}
	return last
}

// copyImages copies the image of an entry and its artifacts. What is gone at the source
// is gone at the destination too, and said; an image of which nothing is known keeps
// the revision back.
func (r *copying) copyImages(ctx context.Context, rev *revision.Revision) error {
	report := trust.Report{}
	if r.report != nil {
		report = r.report(ctx, rev)
	}
	for _, image := range imagesOf(rev.Document) {
		anonymously, err := r.mayRead(rev, report, image)
		if err == nil {
			var moved bool
			moved, err = r.copyImage(ctx, image, anonymously)
			if anonymously {
				err = r.withoutLogin(image, err)
			}
			if err == nil {
				r.countImage(moved)
				continue
			}
		}
		err = fmt.Errorf("image %s: %w", image, err)
		if !errors.Is(err, entry.ErrNotFound) && !errors.Is(err, entry.ErrUntrusted) {
			return err
		}
		if r.heads[rev.Tag] {
			r.fail(NotCopied{Name: rev.Tag.Name, Image: image.String(), Reason: err.Error(), Err: err})
		}
	}
	return nil
}

// completeImages copies the images of heads that the destination had before, where they
// are missing: an earlier copy went without, or somebody deleted them. A repository whose
// tags keep them all costs its tag list, unless new attachments are asked for.
func (r *copying) completeImages(ctx context.Context, plan *ocilog.CopyPlan) error {
	if r.options.NoImages {
		return nil
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	tags := map[string][]string{} // of repositories
	for _, name := range plan.Names {
		if name.Kept != nil || name.Head == nil || name.Head.Document == nil || slices.Contains(name.Write, name.Head.Tag) {
			continue
		}
		if r.base != nil { // it has them, or the head is copied again
			r.countImage(false)
			continue
		}
		complete := !r.options.Refresh
		for _, image := range imagesOf(name.Head.Document) {
			if !complete {
				break
			}
			kept, err := r.isKept(ctx, image, tags)
			if err != nil {
				return err
			}
			complete = kept
		}
		if complete {
			r.countImage(false)
			continue
		}
		group.Go(func() error {
			if err := r.copyImages(within, name.Head); err != nil && within.Err() == nil {
				r.fail(NotCopied{Name: name.Name, Reason: err.Error(), Err: err})
			}
			return within.Err()
		})
	}
	return group.Wait()
}

// isKept reports whether the destination lists the tag that keeps an image.
func (r *copying) isKept(ctx context.Context, image registry.Reference, tags map[string][]string) (bool, error) {
	at, _, err := r.targets.target(image)
	if err != nil {
		return false, nil // copying it says why
	}
	listed, known := tags[at.Base()]
	if !known {
		to, err := r.to.openOwn(at)
		if err != nil {
			return false, err
		}
		if listed, err = to.Tags(ctx); err != nil {
			return false, fmt.Errorf("destination: %w", err)
		}
		slices.Sort(listed)
		tags[at.Base()] = listed
	}
	_, kept := slices.BinarySearch(listed, referrertag.Keep(r.to.normal, image.Digest))
	return kept, nil
}

// imagesOf are the references of what an entry is of, by digest: the image, and each
// artifact that has a manifest of its own.
func imagesOf(document *revision.Document) (all []registry.Reference) {
	add := func(text string, d digest.Digest) {
		ref, err := registry.ParseReference(text)
		if err != nil {
			return // nobody can have it
		}
		ref.Tag = ""
		if d != "" {
			ref.Digest = d
		}
		if ref.Digest != "" && !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	add(document.Image.Reference, document.Image.Digest)
	for _, artifact := range document.Artifacts {
		add(artifact.Reference, "")
	}
	return all
}

// copyImage copies an image by its digest, from wherever it can be had. It reports
// whether anything was written. anonymously: its own registry is shown no login.
func (r *copying) copyImage(ctx context.Context, image registry.Reference, anonymously bool) (copied bool, err error) {
	at, _, err := r.targets.target(image)
	if err != nil {
		return false, err
	}
	from, err := r.source(ctx, image, anonymously)
	if err != nil {
		return false, err
	}
	to, err := r.to.openOwn(at)
	if err != nil {
		return false, err
	}
	to = r.beyondBase(to, image)
	result, err := r.images.Copy(ctx, from, to, image.Digest)
	for _, warning := range result.Warnings {
		r.to.warn(WarnImage, "", fmt.Errorf("image %s: %s", image, warning))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Attachments += result.Referrers
	return result.Manifests > 0, err
}

// source opens the repository of an image, wherever its content can be had: each once.
func (r *copying) source(ctx context.Context, image registry.Reference, anonymously bool) (registry.Repository, error) {
	key := sourceKey{image.Base(), anonymously}
	r.mu.Lock()
	known := r.sources[key]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	open := r.from.opener.openMirrored
	if anonymously {
		open = r.from.opener.openAnonymously
	}
	made, err := open(image, r.from.copiesOf(ctx, image)...)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.sources[key]; known != nil {
		return known, nil
	}
	r.sources[key] = made
	return made, nil
}

// sourceKey is a repository that images are read from.
type sourceKey struct {
	base        string
	anonymously bool
}

// openOwn opens a repository to write to: the catalog's own is open already.
func (c *Catalog) openOwn(ref registry.Reference) (registry.Repository, error) {
	if ref.Base() == c.reference.Base() {
		return c.repository, nil
	}
	return c.opener.openAgain(ref)
}

// writeLocations tells readers where the images are, before the first entry is copied.
func (r *copying) writeLocations(ctx context.Context, plan *ocilog.CopyPlan) error {
	if r.options.NoImages {
		return nil
	}
	var all []revision.Location
	for _, name := range plan.Names {
		if name.Kept != nil || name.Head == nil || name.Head.Document == nil {
			continue
		}
		for _, image := range imagesOf(name.Head.Document) {
			at, tells, err := r.targets.target(image)
			if err != nil {
				continue // copying it says why
			}
			if at.Normal().Base() != image.Normal().Base() { // else it is where it was
				all = append(all, tells)
			}
		}
	}
	all = revision.MergeLocations(all)
	r.result.Locations = all
	if r.options.Sign == nil {
		r.warnOfForeign(all)
	}
	return r.to.writeLocations(ctx, all, r.options.Sign)
}

// warnOfForeign warns of places on other registries than the catalog's own.
func (r *copying) warnOfForeign(all []revision.Location) {
	own := r.to.reference.Normal().Registry + "/"
	for _, location := range all {
		for _, at := range location.At {
			if at != revision.OwnLayout && !strings.HasPrefix(at, own) {
				r.to.warn(WarnPolicy, "", fmt.Errorf("readers believe that images are at %s only if that is signed, or in their own settings", at))
			}
		}
	}
}
