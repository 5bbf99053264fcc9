package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// attachedElsewhere returns the items of those attachments of an image that the log
// of the catalog does not have, newest first. Only revisions of this very image
// count; whatever else refers to the image is none of them.
func (c *Catalog) attachedElsewhere(ctx context.Context, view *ocilog.View, repository registry.Repository, image digest.Digest) ([]entry.Item, error) {
	beside, failed := c.readAttachments(ctx, repository, image)
	names := map[string]bool{}
	for _, a := range beside.attachments {
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
	var e *evaluator
	images := map[string]trust.Check{} // of the image, by the name of the rule
	if c.policy() != nil {
		e = c.newEvaluator(nil, zeroTime)
		defer e.done(ctx)
	}
	var items []entry.Item
	removals := c.attachedRemovals(ctx, e, beside, repository)
	for _, a := range beside.attachments {
		if seen[a.Revision.Digest] || a.Revision.Document == nil {
			continue
		}
		if end := endedBy(removals, a); end != nil {
			c.warn(WarnImage, a.Revision.Tag.Name, fmt.Errorf("entry %q was removed %s: an attachment of the image says so", a.Revision.Tag.Name, end.Removal.RemovedAt))
			continue
		}
		seen[a.Revision.Digest] = true
		item := a.Revision.Item()
		item.Catalog = c.catalogNamed(a)
		if e != nil {
			report := e.reportAttached(ctx, a, beside.signatures[a.Revision.Digest], repository, images)
			item.Verdict, item.Signers = report.Verdict, signersOf(report)
			item.StatusMessage = "an attachment of the image says so: " + report.Reason
		}
		items = append(items, item)
	}
	return entry.Query{}.Select(items).Items, failed
}

// attachedRemovals returns the removals beside an image: under a policy those that it
// verifies, else all. An image that anybody may write beside has anybody's removals.
func (c *Catalog) attachedRemovals(ctx context.Context, e *evaluator, beside besideImage, repository registry.Repository) (removals []*revision.Revision) {
	for _, a := range beside.attachments {
		if a.Revision.Removal == nil {
			continue
		}
		if e != nil && e.reportAttached(ctx, a, beside.signatures[a.Revision.Digest], repository, nil).Verdict != entry.VerdictVerified {
			continue
		}
		removals = append(removals, a.Revision)
	}
	return removals
}

// endedBy returns the removal that ended an attached publication: one of the same name
// in the same catalog, and after it; nil is none.
func endedBy(removals []*revision.Revision, a *revision.Attachment) *revision.Revision {
	for _, removal := range removals {
		if removal.Tag.Name == a.Revision.Tag.Name && removal.Catalog() == a.Revision.Catalog() && a.Revision.Tag.Compare(removal.Tag) < 0 {
			return removal
		}
	}
	return nil
}

// catalogNamed is the catalog that the document of an attachment names: it is signed.
// Only where that names none it is the one that the attachment itself names, which is
// the word of whoever wrote it. What is no repository of a registry is "", and so is
// this catalog: its log does not have what is attached.
func (c *Catalog) catalogNamed(a *revision.Attachment) string {
	name := cmp.Or(a.Revision.Catalog(), a.Catalog)
	ref, err := registry.ParseReference(name)
	if err != nil || ref.Layout != "" || ref.Tag != "" || ref.Digest != "" || ref.Normal().Base() == c.normal {
		return ""
	}
	return name
}

// maxAttachments bounds the referrers of an image among which entries are looked for.
const maxAttachments = 256

// attachmentsFirst returns the referrers of an image to look for entries among, those
// that are listed as entries before others, and of very many the first maxAttachments.
func attachmentsFirst(referrers []ocispec.Descriptor) []ocispec.Descriptor {
	var entries, signatures, others []ocispec.Descriptor
	for _, referrer := range referrers {
		switch {
		case strings.HasPrefix(referrer.ArtifactType, "application/vnd.caib.catalog.entry."):
			entries = append(entries, referrer)
		case referrer.ArtifactType == revision.MediaTypeSignatures:
			signatures = append(signatures, referrer)
		default:
			others = append(others, referrer)
		}
	}
	all := slices.Concat(entries, signatures, others)
	return all[:min(len(all), maxAttachments)]
}

// besideImage is what of the catalog's is beside an image.
type besideImage struct {
	attachments []*revision.Attachment
	signatures  map[digest.Digest][][]jsontext.Value // of revisions, by artifact
}

// readAttachments reads the attachments of an image, and the signatures beside them.
// What could be read is returned with an error too.
func (c *Catalog) readAttachments(ctx context.Context, repository registry.Repository, image digest.Digest) (besideImage, error) {
	beside := besideImage{signatures: map[digest.Digest][][]jsontext.Value{}}
	referrers, err := repository.Referrers(ctx, ocispec.Descriptor{Digest: image})
	if err != nil && !errors.Is(err, entry.ErrNotFound) {
		return beside, fmt.Errorf("attachments: %w", err)
	}
	if len(referrers) > maxAttachments {
		c.warn(WarnImage, "", fmt.Errorf("%d artifacts refer to the image %s: %d of them were read", len(referrers), image, maxAttachments))
	}
	referrers = attachmentsFirst(referrers)
	attachments, signatures, failed := make([]*revision.Attachment, len(referrers)), make([]*revision.BesideSignatures, len(referrers)), make([]error, len(referrers))
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for n, referrer := range referrers {
		group.Go(func() error {
			attachments[n], signatures[n], failed[n] = readAttachment(ctx, repository, referrer.Digest, image)
			return nil
		})
	}
	_ = group.Wait() // never fails: what went wrong is in failed
	beside.attachments = slices.DeleteFunc(attachments, func(a *revision.Attachment) bool { return a == nil })
	for _, one := range signatures {
		if one != nil {
			beside.signatures[one.Revision] = append(beside.signatures[one.Revision], one.Signatures)
		}
	}
	return beside, errors.Join(failed...)
}

// readAttachment reads a referrer of an image: an attachment of it, signatures beside
// one, or nothing of the catalog's.
func readAttachment(ctx context.Context, repository registry.Repository, referrer, image digest.Digest) (*revision.Attachment, *revision.BesideSignatures, error) {
	_, manifest, err := repository.Manifest(ctx, referrer.String())
	switch {
	case errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrMalformed):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("attachments: %w", err)
	}
	if a, err := revision.ReadAttachment(manifest); err == nil && a.Subject == image && (a.Revision.Document == nil || a.Revision.Document.Image.Digest == image) {
		return a, nil, nil
	}
	if s, err := revision.ReadSignatures(manifest); err == nil && s.Subject == image {
		return nil, s, nil
	}
	return nil, nil, nil
}
