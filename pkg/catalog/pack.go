package catalog

import (
	"cmp"
	"context"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// packDocument makes the next revision of a name, as of now. What a newer writer put
// into before, a publication of the same image, is kept; nil is none. author is
// recorded as publishedBy; "" is the catalog's.
func (c *Catalog) packDocument(ctx context.Context, view *ocilog.View, document *revision.Document, before *revision.Revision, author string) (packed *revision.Packed, next *revision.Revision, err error) {
	return c.packEdit(ctx, view, document, before, nil, author)
}

// packEdit is packDocument for an edit: bases are the hashes of the tags of the
// revisions that it was made from, first that of before.
func (c *Catalog) packEdit(ctx context.Context, view *ocilog.View, document *revision.Document, before *revision.Revision, bases []string, author string) (packed *revision.Packed, next *revision.Revision, err error) {
	made := *document
	made.PublishedAt = revision.NextTime(c.options.Now(), made.Name, view.Tags())
	made.PublishedBy = cmp.Or(author, c.options.Author)
	made.Catalog = c.normal
	if before == nil {
		packed, err = revision.Pack(&made, view.Seen())
	} else {
		var text []byte
		if text, err = c.log.DocumentText(ctx, before.Tag); err == nil {
			packed, err = revision.PackEdit(&made, text, view.Seen(), bases)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	next, err = revision.Unpack(packed.Tag, packed.Manifest)
	return packed, next, err
}
