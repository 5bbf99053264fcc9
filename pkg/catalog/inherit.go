package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// inherit takes over from the live entry what a publisher asked to keep, as far as
// nothing else is said now. What only a stranger says is refused, as it is for an edit.
func (p *publication) inherit(ctx context.Context) error {
	base := cmp.Or(p.old, p.head)
	if !p.options.Inherit || base == nil || base.Document == nil {
		return nil
	}
	if !p.counting.counts(ctx, base) {
		if err := p.catalog.admitBase(ctx, p.view, base, p.options.Sign); err != nil {
			return fmt.Errorf("publish %s: inherit: %w", p.name, err)
		}
	}
	p.document = inherited(p.document, base.Document)
	return nil
}

// inherited returns a document with the description, tags, labels, targets and notes
// of an older one beside its own. That a target is verified is about an image: it is
// taken over for the same one only. The version never is.
func inherited(document, old *revision.Document) *revision.Document {
	d := *document
	d.Description = cmp.Or(d.Description, old.Description)
	d.Tags = slices.Clone(old.Tags)
	for _, tag := range document.Tags {
		if !slices.Contains(d.Tags, tag) {
			d.Tags = append(d.Tags, tag)
		}
	}
	d.Labels = map[string]string{}
	maps.Copy(d.Labels, old.Labels)
	maps.Copy(d.Labels, document.Labels)
	same := old.Image.Digest == d.Image.Digest
	d.Metadata.Targets = slices.Clone(document.Metadata.Targets)
	for _, target := range old.Metadata.Targets {
		target.Verified = target.Verified && same
		all := d.Metadata.Targets
		i := indexTarget(all, target.Name)
		if i < 0 {
			d.Metadata.Targets = append(all, target)
			continue
		}
		all[i].Notes = cmp.Or(all[i].Notes, target.Notes)
		all[i].Verified = all[i].Verified || target.Verified
	}
	return &d
}
