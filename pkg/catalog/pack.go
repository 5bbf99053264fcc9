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
	return c.packEdit(ctx, view, &ocilog.Merge{Document: document, From: before}, author)
}

// packEdit is packDocument for what edits were merged into.
func (c *Catalog) packEdit(ctx context.Context, view *ocilog.View, merge *ocilog.Merge, author string) (packed *revision.Packed, next *revision.Revision, err error) {
	made := *merge.Document
	made.PublishedAt = revision.NextTime(c.options.Now(), made.Name, view.Tags())
	made.PublishedBy = cmp.Or(author, c.options.Author)
	made.Catalog = c.normal
	if merge.From == nil {
		packed, err = revision.Pack(&made, view.Seen())
	} else {
		var text []byte
		if text, err = c.log.DocumentText(ctx, merge.From.Tag); err == nil {
			packed, err = revision.PackEdit(&made, text, view.Seen(), merge.Bases)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	next, err = revision.Unpack(packed.Tag, packed.Manifest)
	return packed, next, err
}
