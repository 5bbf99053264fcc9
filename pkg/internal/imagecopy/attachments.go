package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	maxLevel     = 3   // of attachments of attachments
	maxReferrers = 512 // of one manifest
	// of one image, with all that is below it
	maxAttachments = 4096
)

// attachments are what belongs to a manifest at the source.
type attachments struct {
	referrers []ocispec.Descriptor
	tags      []*signatureTag
}

// several is a repository that stands for several places. What refers to a manifest,
// and its signature tags, each of them may have others of.
type several interface {
	Everywhere(ctx context.Context, question func(registry.Repository) error) error
}

// everywhere asks each place of the source.
func (r *run) everywhere(ctx context.Context, question func(registry.Repository) error) error {
	if places, ok := r.from.(several); ok {
		return places.Everywhere(ctx, question)
	}
	return question(r.from)
}

func (a attachments) none() bool { return len(a.referrers) == 0 && len(a.tags) == 0 }

// attachments finds what belongs to a manifest. That it cannot be found out is a
// warning.
func (r *run) attachments(ctx context.Context, subject ocispec.Descriptor) attachments {
	found := attachments{tags: r.signatureTags(ctx, subject.Digest)}
	var all []ocispec.Descriptor
	err := r.everywhere(ctx, func(place registry.Repository) error {
		listed, err := place.Referrers(ctx, subject)
		for _, d := range listed {
			if !slices.ContainsFunc(all, func(other ocispec.Descriptor) bool { return other.Digest == d.Digest }) {
				all = append(all, d)
			}
		}
		if errors.Is(err, absence.ErrNoReferrersAPI) {
			return nil
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.warn("what refers to %s is not known, and not copied: %v", subject.Digest, err)
	}
	if len(all) > maxReferrers {
		r.warn("%d artifacts refer to %s: only %d are copied", len(all), subject.Digest, maxReferrers)
		all = all[:maxReferrers]
	}
	found.referrers = all
	return found
}

// copyAttachments copies what belongs to a manifest, which is there. Where the copy is
// refreshed, what the destination lists is not written again.
func (r *run) copyAttachments(ctx context.Context, subject ocispec.Descriptor, found attachments, level int, refreshed bool) error {
	there := map[digest.Digest]bool{}
	if refreshed && len(found.referrers) > 0 {
		listed, err := r.to.Referrers(ctx, subject)
		if err != nil && ctx.Err() != nil {
			return err
		}
		for _, d := range listed {
			there[d.Digest] = true
		}
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, d := range found.referrers {
		if r.visit(d.Digest.String()) && r.mayAttach() {
			group.Go(func() error {
				return r.passable(within, d.Digest.String(), subject, r.referrer(within, subject, d, level, there[d.Digest]))
			})
		}
	}
	for _, tag := range found.tags {
		if r.visit(tag.name) && r.mayAttach() {
			group.Go(func() error { return r.passable(within, tag.name, subject, r.signatures(within, tag, level)) })
		}
	}
	return group.Wait()
}

// passable makes a warning of an attachment that is not there, or not right, at the
// source: the image can be had without it.
func (r *run) passable(ctx context.Context, name string, subject ocispec.Descriptor, err error) error {
	if ctx.Err() == nil && (errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrMalformed)) {
		r.warn("%s, which belongs to %s, is not copied: %v", name, subject.Digest, err)
		return nil
	}
	return err
}

// referrer copies an artifact that is listed as a referrer, and what belongs to it. Of
// what the list says only the digest is believed.
func (r *run) referrer(ctx context.Context, subject, listed ocispec.Descriptor, level int, there bool) error {
	t, err := r.read(ctx, listed.Digest, nil)
	if err != nil {
		return err
	}
	root := t.root
	if root.said.Subject == nil || root.said.Subject.Digest != subject.Digest {
		return nil
	}
	var attached attachments
	if level < maxLevel && !root.isLast() {
		attached = r.attachments(ctx, root.descriptor)
	}
	if !there {
		if err := r.belowArtifact(ctx, t); err != nil {
			return err
		}
		if err := r.to.PushReferrer(ctx, root.descriptor, root.content, subject); err != nil {
			return fmt.Errorf("referrer %s: %w", root.descriptor.Digest, err)
		}
		r.count(func(result *Result) { result.Referrers++ })
	}
	return r.copyAttachments(ctx, root.descriptor, attached, level+1, there)
}

// isLast tells artifacts that nobody attaches anything to: ours and signatures. An
// image that is made of a revision brings that no signatures, where the catalog is in
// the same repository.
func (n *node) isLast() bool {
	return strings.HasPrefix(n.said.ArtifactType, "application/vnd.caib.catalog.") || strings.HasPrefix(n.said.ArtifactType, "application/vnd.dev.sigstore.bundle")
}

// belowArtifact copies all of an artifact but its own manifest.
func (r *run) belowArtifact(ctx context.Context, t *tree) error {
	if err := r.copyBlobs(ctx, t); err != nil {
		return err
	}
	return t.each(ctx, func(ctx context.Context, n *node) error {
		if n == t.root {
			return nil
		}
		return r.to.PushManifest(ctx, n.descriptor, n.content, r.keep(n.descriptor.Digest))
	})
}
