package catalog

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	archivefile "github.com/oci-catalog/caib/pkg/internal/archive"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// An increment is a copy into an archive that has what its base has: no revision of the
// base is written again, and no blob of an image that the base holds for the same
// repository. Manifests are, and what refers to them: evidence is read from the file.

// baseOf reads the file of an earlier backup of the catalog, which an increment goes on
// from. It must not be the file that the increment is written to.
func (c *Catalog) baseOf(ctx context.Context, path, increment string) (*archivefile.Base, error) {
	if is, err := os.Stat(path); err == nil {
		if other, err := os.Stat(increment); err == nil && os.SameFile(is, other) {
			return nil, fmt.Errorf("%w: %s is the base of the increment, and cannot be replaced by it", entry.ErrInvalid, path)
		}
	}
	kept, err := archivefile.OpenFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	defer kept.Close()
	if kept.Contents.Catalog != c.normal {
		return nil, fmt.Errorf("%w: base: %s is a backup of %s, and not of %s", entry.ErrInvalid, path, kept.Contents.Catalog, c.normal)
	}
	view, err := c.archived(path, kept).log.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("base: %s: %w", path, err)
	}
	revisions, err := view.History(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("base: %s: %w", path, err)
	}
	tags := make([]revision.Tag, len(revisions))
	for i, rev := range revisions {
		tags[i] = rev.Tag
	}
	removed := lastRemovals(tags)
	images := map[string][]digest.Digest{}
	for _, rev := range revisions {
		if rev.Document == nil || rev.Tag.Compare(removed[rev.Tag.Name]) < 0 {
			continue
		}
		for _, image := range imagesOf(rev.Document) {
			if of := image.Normal().Base(); !slices.Contains(images[of], image.Digest) {
				images[of] = append(images[of], image.Digest)
			}
		}
	}
	return kept.Base(ctx, images)
}

func (r *copying) isInBase(tag revision.Tag) bool { return r.base.HasTag(tag.String()) }

// isRenewed reports whether a head of the base was signed since, or has an image that
// the base lacks.
func (r *copying) isRenewed(head *revision.Revision, signatures []jsontext.Value) bool {
	for _, one := range evidenceOf(signatures).Signatures {
		if !r.base.Has(one.Layer()) {
			return true
		}
	}
	if head.Document == nil || r.options.NoImages {
		return false
	}
	return slices.ContainsFunc(imagesOf(head.Document), func(image registry.Reference) bool {
		return !r.base.Holds(image.Normal().Base(), image.Digest)
	})
}

// beyondBase is where an image goes: the destination itself, or for an increment
// what stands for the destination after its base. It is the same for each repository.
func (r *copying) beyondBase(to registry.Repository, image registry.Reference) registry.Repository {
	if r.base == nil {
		return to
	}
	of := image.Normal().Base()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.beyond[of] == nil {
		if r.beyond == nil {
			r.beyond = map[string]registry.Repository{}
		}
		r.beyond[of] = &beyondBase{to, r.base, of}
	}
	return r.beyond[of]
}

type beyondBase struct {
	registry.Repository
	base *archivefile.Base
	of   string // the repository of the images
}

// CopyBlob copies nothing that the base holds.
func (b *beyondBase) CopyBlob(ctx context.Context, d ocispec.Descriptor, from registry.Repository) (int64, error) {
	if b.base.Holds(b.of, d.Digest) {
		return 0, nil
	}
	return b.Repository.CopyBlob(ctx, d, from)
}
