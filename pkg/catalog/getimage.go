package catalog

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// ImageEntries are the entries of one image, newest first.
type ImageEntries struct {
	Digest digest.Digest // of the image
	// Items are this catalog's: each version of a live entry since the name's last
	// removal that has the digest as its image, a platform or an artifact.
	Items []entry.Item
	// Attached are those that attachments of the image tell of, and this catalog's
	// log does not have. Catalog is the one that the document names or else the
	// attachment itself, "" if they name none, or this one. All of it is the word of
	// whoever may write beside the image, but for what a policy verifies by the
	// signatures beside it: the catalog that it names was not opened, and whether such an
	// entry is still live only that knows. What could not be evaluated is
	// entry.VerdictUnknown; StatusMessage says why.
	Attached []entry.Item
	// Refused are as in Page: those of the names that may have the image.
	Refused []Head
}

// GetImage returns the entries of the image that a reference names, by digest or by
// what its tag names now; none is no error. A tag that does not exist is an
// entry.ErrNotFound. If the error is about the attachments, what the catalog says
// is returned with it.
func (c *Catalog) GetImage(ctx context.Context, image string) (ImageEntries, error) {
	ref, err := imageReference(image)
	if err != nil {
		return ImageEntries{}, err
	}
	repository, err := c.opener.openAgain(ref)
	if err != nil {
		return ImageEntries{}, err
	}
	found := ImageEntries{Digest: ref.Digest}
	if found.Digest == "" {
		named, err := absence.Confirm(ctx, repository, ref.Target())
		if err != nil {
			return ImageEntries{}, fmt.Errorf("image %s: %w", ref, err)
		}
		found.Digest = named.Digest
	}
	view, err := c.refresh(ctx)
	if err != nil {
		return ImageEntries{}, err
	}
	defer func() { c.warnOf(view.Warnings()) }()
	page, err := c.list(ctx, view, ListOptions{Query: entry.Query{Versions: true}, Image: found.Digest.String()})
	if err != nil {
		return ImageEntries{}, err
	}
	found.Items, found.Refused = page.Items, page.Refused
	found.Attached, err = c.attachedElsewhere(ctx, view, repository, found.Digest)
	return found, err
}
