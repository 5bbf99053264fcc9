package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Republish publishes the image of a live entry anew. What options leave open stays
// as the entry says; with another name, the entry is moved there. What a build made is
// published by its digest. If the reference of any other image names another one by
// now, that is published, and the files that belonged to the old one are left out. A
// name that is not live is an entry.ErrNotFound, and one that the policy refuses a
// *trust.Error, and so is one that it does not verify, where the publication is to be
// signed: nobody signs what a stranger says. All else is as for Publish.
func (c *Catalog) Republish(ctx context.Context, name string, options PublishOptions) (PublishResult, error) {
	if err := entry.CheckName(name); err != nil {
		return PublishResult{}, err
	}
	view, err := c.refresh(ctx, name)
	if err != nil {
		return PublishResult{}, err
	}
	head, err := view.Head(ctx, name, zeroTime)
	switch {
	case err != nil:
		return PublishResult{}, err
	case head == nil || head.Document == nil:
		return PublishResult{}, fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
	}
	if err := c.admitBase(ctx, view, head, options.Sign); err != nil {
		return PublishResult{}, err
	}
	p := &publication{catalog: c, options: carryOverOptions(head.Document, options), before: head.Document, built: built{override: options.Override}}
	err = p.run(ctx, head.Document.Image.Reference)
	return p.result, err
}

// carryOverOptions completes options with what an entry says.
func carryOverOptions(d *revision.Document, options PublishOptions) PublishOptions {
	options.Name = cmp.Or(options.Name, d.Name)
	options.Move = options.Move || options.Name != d.Name
	options.Version = cmp.Or(options.Version, d.Version)
	options.Description = cmp.Or(options.Description, d.Description)
	if options.Tags == nil {
		options.Tags = d.Tags
	}
	labels := map[string]string{}
	maps.Copy(labels, d.Labels)
	maps.Copy(labels, options.Labels)
	options.Labels = labels
	if d.Source.ImageBuild != "" && options.ImageBuild.Digest == "" {
		options.ImageBuild.Digest = d.Image.Digest
	}
	said := d.Metadata
	for _, m := range d.Mismatches { // the image's word was published there
		if field := said.Text(m.Field); field != nil {
			*field = m.Publisher
		}
		if m.Field == "bootc" {
			said.Bootc = m.Publisher == "true"
			options.NotBootc = options.NotBootc || !said.Bootc && !options.Metadata.Bootc
		}
		options.Override = options.Override || m.Overridden
	}
	said.Bootc = said.Bootc && !options.NotBootc
	options.Metadata = completeMetadata(options.Metadata, said)
	if options.Source == (entry.Source{}) {
		options.Source = d.Source
	}
	if options.Build == (entry.Build{}) {
		options.Build = d.Build
	}
	return options
}

// carryOver takes over from the entry that is published again the files that are not
// to be found from its image, and what is known of its build.
func (p *publication) carryOver() {
	if p.before == nil || p.before.Image.Digest != p.document.Image.Digest || p.options.Disk != "" {
		return
	}
	for _, m := range p.before.Mismatches {
		if is, _ := m.IsOfBuild(); is && !slices.Contains(p.document.Mismatches, m) {
			p.document.Mismatches = append(p.document.Mismatches, m)
		}
	}
	for _, a := range p.before.Artifacts {
		if !slices.Contains(p.document.Artifacts, a) {
			p.document.Artifacts = append(p.document.Artifacts, a)
		}
	}
}
