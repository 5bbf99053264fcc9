package catalog

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
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// attachedElsewhere returns the items of those attachments of an image that the log
// of the catalog does not have, newest first. Only revisions of this very image
// count; whatever else refers to the image is none of them.
func (c *Catalog) attachedElsewhere(ctx context.Context, view *ocilog.View, repository registry.Repository, image digest.Digest) ([]entry.Item, error) {
	attachments, failed := c.readAttachments(ctx, repository, image)
	names := map[string]bool{}
	for _, a := range attachments {
		names[a.Revision.Tag.Name] = true
	}
	history, err := view.HistoryOf(ctx, names)
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	seen := map[digest.Digest]bool{}
	for _, rev := range history {
		seen[rev.Digest] = true
	}
	var items []entry.Item
	for _, a := range attachments {
		if seen[a.Revision.Digest] {
			continue
		}
		seen[a.Revision.Digest] = true
		item := a.Revision.Item()
		item.Catalog = c.catalogNamed(a)
		if c.policy() != nil {
			item.Verdict = entry.VerdictUnknown
			item.StatusMessage = "an attachment of the image says so: its signatures were not checked"
		}
		items = append(items, item)
	}
	return entry.Query{}.Select(items).Items, failed
}

// catalogNamed is the catalog that an attachment names, else the one that its
// document does: of the two, only the document is signed. What is no repository of
// a registry is "", and so is this catalog: its log does not have what is attached.
func (c *Catalog) catalogNamed(a *revision.Attachment) string {
	for _, name := range []string{a.Catalog, a.Revision.Catalog()} {
		ref, err := registry.ParseReference(name)
		if err == nil && ref.Layout == "" && ref.Tag == "" && ref.Digest == "" {
			if ref.Normal().Base() == c.normal {
				return ""
			}
			return name
		}
	}
	return ""
}

// maxAttachments bounds the referrers of an image among which entries are looked for.
const maxAttachments = 256

// attachmentsFirst returns the referrers of an image to look for entries among, those
// that are listed as entries before others, and of very many the first maxAttachments.
func attachmentsFirst(referrers []ocispec.Descriptor) []ocispec.Descriptor {
	var entries, others []ocispec.Descriptor
	for _, referrer := range referrers {
		if strings.HasPrefix(referrer.ArtifactType, "application/vnd.caib.catalog.entry.") {
			entries = append(entries, referrer)
		} else {
			others = append(others, referrer)
		}
	}
	all := append(entries, others...)
	return all[:min(len(all), maxAttachments)]
}

// readAttachments reads the attachments of an image. What could be read is returned
// with an error too.
func (c *Catalog) readAttachments(ctx context.Context, repository registry.Repository, image digest.Digest) ([]*revision.Attachment, error) {
	referrers, err := repository.Referrers(ctx, ocispec.Descriptor{Digest: image})
	if err != nil && !errors.Is(err, entry.ErrNotFound) {
		return nil, fmt.Errorf("attachments: %w", err)
	}
	if len(referrers) > maxAttachments {
		c.warn(WarnImage, "", fmt.Errorf("%d artifacts refer to the image %s: %d of them were read", len(referrers), image, maxAttachments))
	}
	referrers = attachmentsFirst(referrers)
	read, failed := make([]*revision.Attachment, len(referrers)), make([]error, len(referrers))
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for n, referrer := range referrers {
		group.Go(func() error {
			read[n], failed[n] = readAttachment(ctx, repository, referrer.Digest, image)
			return nil
		})
	}
	_ = group.Wait() // never fails: what went wrong is in failed
	return slices.DeleteFunc(read, func(a *revision.Attachment) bool { return a == nil }), errors.Join(failed...)
}

// readAttachment reads a referrer of an image, and returns nil for one that is no
// attachment of it.
func readAttachment(ctx context.Context, repository registry.Repository, referrer, image digest.Digest) (*revision.Attachment, error) {
	_, manifest, err := repository.Manifest(ctx, referrer.String())
	switch {
	case errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrMalformed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("attachments: %w", err)
	}
	a, err := revision.ReadAttachment(manifest)
	if err != nil || a.Subject != image || a.Revision.Document.Image.Digest != image {
		return nil, nil
	}
	return a, nil
}
