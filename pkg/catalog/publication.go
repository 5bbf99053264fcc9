package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/kinded"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// publication is one publication under way (SPEC section 12). Each step fills
// in what the next ones need.
type publication struct {
	catalog    *Catalog
	options    PublishOptions
	mustBeNew  bool
	before     *revision.Document // what is published again; nil for nothing
	waitsUntil time.Time          // for what is not pushed yet; zero before anything was missed
	result     PublishResult

	name       string // by identify
	ref        registry.Reference
	repository registry.Repository // by inspect: where the image is
	image      *inspect.Image
	disk       *disk // by addDisk; nil for none
	built      built // by recall and inspect
	document   *revision.Document
	reading    *logReading          // that began with the inspection; nil where nothing did
	counting   *counting            // by decide; nil counts all
	view       *ocilog.View         // by compare
	begins     bool                 // the catalog, which its registry did not show
	head       *revision.Revision   // what decides the name now; nil for nothing
	old        *revision.Revision   // the live publication of the name; under a policy, whatever strangers put in front of it
	elsewhere  []*revision.Revision // live under other names, to be ended
	moved      []*revision.Revision // live under other names, published from the same reference with another digest
	packed     *revision.Packed     // by pack
	own        *revision.Revision   // by pack: what packed says
	attachment *ownAttachment       // by write: of own
	conflict   *ConflictError       // by settle: with what stays beside the own revision
}

func (p *publication) run(ctx context.Context, image string) error {
	defer p.endAttachment()
	if err := p.identify(image); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		p.recall, p.awaiting(p.inspect, image), p.awaiting(p.addDisk, p.options.Disk), p.merge, p.decide,
	}
	if !p.options.DryRun {
		p.catalog.opener.expectPush(p.catalog.reference)
		if p.options.ImageBuild.Name == "" && p.options.Wait <= 0 {
			p.reading = p.catalog.startReading(ctx, p.name, p.ref.String())
			defer p.reading.end()
		}
		steps = append(steps, p.finish, p.conflicting, p.move)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// decide finds out what there is to write, and writes the revision, while no
// other writer of this catalog decides about the same name or image.
func (p *publication) decide(ctx context.Context) error {
	unlock, err := p.catalog.writers.Lock(ctx, "name "+p.name, "image "+normalText(p.document.Image.Reference))
	if err != nil {
		return err
	}
	defer unlock()
	p.counting = p.catalog.newCounting(p.name)
	defer p.counting.done(ctx)
	if err := p.compare(ctx); err != nil {
		return err
	}
	p.result.Attachment = Step{Outcome: Skipped}
	if p.options.Sign != nil {
		p.result.Signature = &Step{Outcome: Skipped}
	}
	if p.isUnchanged(ctx) {
		p.result.Outcome, p.result.Item = Unchanged, p.old.Item()
		return nil
	}
	if p.isEarlierBuild() {
		p.old = p.built.before
		p.result.Outcome, p.result.Item = Unchanged, p.old.Item()
		return nil
	}
	if err := p.checkUnsigned(ctx); err != nil {
		return err
	}
	p.noteLosses()
	if err := p.pack(ctx); err != nil {
		return err
	}
	if p.noteDate(); p.options.DryRun {
		return nil
	}
	return p.write(ctx)
}

// signer signs the revision while no reader sees it yet; nil signs nothing.
func (p *publication) signer() func(context.Context) error {
	if p.options.Sign == nil {
		return nil
	}
	return func(ctx context.Context) error { return p.sign(ctx, p.packed.Tag, p.packed.Descriptor) }
}

// identify reads the reference and validates what the publisher typed, before
// anything is asked of any registry.
func (p *publication) identify(image string) error {
	ref, err := imageReference(image)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	o := &p.options
	p.ref, p.name = ref, cmp.Or(o.Name, o.ImageBuild.Name, defaultName(ref))
	name := p.name
	if o.Name == "" && o.ImageBuild.Name != "" {
		name = "any" // recall may find another one, and checks it
	}
	if err := entry.CheckName(name); err != nil {
		return err
	}
	if err := o.ImageBuild.check(); err != nil {
		return err
	}
	if err := p.options.spellTargets(p.before); err != nil {
		return err
	}
	// What is typed must be valid also where the image's word will replace it.
	_, err = revision.Pack(&revision.Document{
		Name: name, Version: cmp.Or(o.Version, o.ImageBuild.Name), Description: o.Description,
		Image: revision.Image{Reference: ref.String(), Digest: digest.FromString(""), MediaType: ocispec.MediaTypeImageManifest},
		Tags:  o.Tags, Metadata: o.Metadata, Source: o.Source, Labels: o.Labels, Build: o.Build,
		PublishedAt: entry.NewTime(time.UnixMilli(0)),
	}, revision.Seen{})
	return err
}

// inspect reads the image and composes the document, apart from when and by
// whom it is published.
func (p *publication) inspect(ctx context.Context) (err error) {
	if !p.options.DryRun && !(p.options.NoAttach && p.options.NoKeep) {
		p.catalog.opener.expectPush(p.ref)
	}
	if p.repository, err = p.catalog.opener.open(p.ref); err != nil {
		return err
	}
	if p.image, err = p.inspectBuilt(ctx, p.repository, p.ref, p.options.ImageBuild.Digest, ""); err != nil {
		return err
	}
	p.warnOfImage(p.image)
	found, o := p.image.Descriptor, &p.options
	if o.Digest != "" && found.Digest != o.Digest {
		return kinded.New(entry.ErrDigest, "%v: %s is %s, not %s", entry.ErrConflict, p.ref, found.Digest, o.Digest)
	}
	p.document = &revision.Document{
		Name: p.name, Version: o.Version, Description: o.Description,
		Image: revision.Image{Reference: p.ref.String(), Digest: found.Digest, MediaType: found.MediaType, Size: found.Size},
		Tags:  o.Tags, Registry: p.image.Observed,
		Artifacts: p.image.Artifacts, Source: o.Source, Labels: o.Labels, Build: o.Build,
	}
	return nil
}

// complete takes over from the live entry what an incomplete inspection of the
// same image did not see: of the files, those in the repository that was asked.
func (p *publication) complete() {
	if !p.image.Incomplete || p.old == nil || p.old.Document.Image.Digest != p.document.Image.Digest {
		return
	}
	old := p.old.Document
	p.document.Registry.Referrers = old.Registry.Referrers
	p.document.Metadata.ExportFormat = cmp.Or(p.document.Metadata.ExportFormat, old.Metadata.ExportFormat)
	beside := normalText(p.ref.Base())
	for _, a := range old.Artifacts {
		if normalText(entry.Repository(a.Reference)) == beside && !slices.Contains(p.document.Artifacts, a) {
			p.document.Artifacts = append(p.document.Artifacts, a)
		}
	}
}

// isUnchanged reports whether the publication would change nothing: not even put a
// stranger's out of the way.
func (p *publication) isUnchanged(ctx context.Context) bool {
	return p.old != nil && p.old.Tag == p.head.Tag && revision.SameContent(p.old.Document, p.document) && lastLost(ctx, p.view, p.name, p.old.Tag).Tag == (revision.Tag{})
}

// pack makes the revision, by the view of now. One that describes the same image as
// before keeps what newer writers put into it.
func (p *publication) pack(ctx context.Context) (err error) {
	before := p.old
	if before != nil && before.Document.Image.Digest != p.document.Image.Digest {
		before = nil
	}
	if p.packed, p.own, err = p.catalog.packDocument(ctx, p.view, p.document, before, p.options.Author); err != nil {
		return err
	}
	p.result.Outcome = Planned
	p.result.Item, p.result.Tag = p.own.Item(), p.own.Tag.String()
	return nil
}

// noteDate warns of a revision that is dated far ahead of the clock.
func (p *publication) noteDate() {
	if ahead := p.own.Tag.Time().Sub(p.catalog.options.Now()); ahead > time.Hour {
		p.warn(WarnLog, "the newest revision of %s is dated %s ahead of this clock; this one follows it", p.name, ahead.Round(time.Minute))
	}
}

// finish attaches what is published, and beside that writes a snapshot if one is due.
func (p *publication) finish(ctx context.Context) error {
	var compacting sync.WaitGroup
	var failed error
	if p.result.Outcome != Unchanged {
		view, counting := p.view, p.counting
		compacting.Go(func() { p.result.Snapshot, failed = p.catalog.compact(ctx, view, counting) })
	}
	err := p.follow(ctx)
	if compacting.Wait(); failed != nil {
		p.warn(WarnStore, "the entry is published, but no snapshot was written: %w", failed)
	}
	return err
}

// follow attaches the revision and its signatures to the image, which reports its
// outcome and undoes nothing. Of what was published before, it restores the
// attachment and the signature, where registries lost them.
func (p *publication) follow(ctx context.Context) error {
	again := p.result.Outcome == Unchanged
	defer p.startKeeping(ctx, again)()
	if !again {
		p.attachOwn(ctx)
		return nil
	}
	if !p.options.NoAttach {
		p.result.Attachment = p.catalog.reattach(ctx, p.repository, p.old, p.image)
	}
	if err := p.signMissing(ctx); err != nil {
		return err
	}
	if attached := p.result.Attachment.Outcome; p.options.Sign != nil && !p.options.NoAttach && (attached == Attached || attached == Skipped) {
		step := p.catalog.attachSignatures(ctx, p.repository, p.old, p.image.Descriptor, p.image.Listed)
		p.result.SignatureAttachment = &step
	}
	return nil
}

// attachOwn attaches the revision that was published now, and beside it its signatures.
func (p *publication) attachOwn(ctx context.Context) {
	if p.options.NoAttach {
		return
	}
	var attaching sync.WaitGroup
	var signatures *Step
	if p.options.Sign != nil {
		attaching.Go(func() {
			step := p.catalog.attachSignatures(ctx, p.repository, p.own, p.image.Descriptor, nil)
			signatures = &step
		})
	}
	p.result.Attachment = p.attachment.write(ctx)
	if attaching.Wait(); p.result.Attachment.Outcome == Attached {
		p.result.SignatureAttachment = signatures
	}
}
