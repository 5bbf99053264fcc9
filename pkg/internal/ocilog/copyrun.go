package ocilog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// CopyResult is what a copy did.
type CopyResult struct {
	Copied   int        // revisions
	Present  int        // revisions that the destination had already
	Kept     []KeptBack // in text order of their names
	Status   bool       // a status artifact was copied
	Snapshot bool       // the destination has a new snapshot
	Warnings []error    // that change nothing, of source and destination
}

// KeptBack says why a name was not copied, or not to its end.
type KeptBack struct {
	Name string
	Tag  revision.Tag // the revision that was not copied, with what would follow; zero is all of the name
	Err  error
}

// Copy is PlanCopy, and Run.
func Copy(ctx context.Context, from *View, to *Log, options CopyOptions) (CopyResult, error) {
	plan, err := PlanCopy(ctx, from, to, options)
	if err != nil {
		return CopyResult{}, err
	}
	return plan.Run(ctx)
}

// Run writes what was planned. It deletes nothing, and may be cut off anywhere: a copy
// after it goes on. With an error, the result says what was done until then. A plan is
// run once.
func (p *CopyPlan) Run(ctx context.Context) (CopyResult, error) {
	c := &copier{plan: p, segments: &heldBlobs{blobs: p.from.log.target}, kept: map[string]KeptBack{}}
	for _, n := range p.Names {
		c.present += n.Present
		if n.Kept != nil {
			c.kept[n.Name] = KeptBack{Name: n.Name, Err: n.Kept}
		}
	}
	err := c.run(ctx)
	c.warn(p.from.log.Save(ctx))
	c.warn(p.to.Save(ctx))
	return c.result(), err
}

// copier runs a plan.
type copier struct {
	plan     *CopyPlan
	segments blobs       // of the source
	empty    atomic.Bool // the destination has the empty blob
	present  int
	signed   bool // snapshots of the source carry signatures

	mu       sync.Mutex
	copied   int
	kept     map[string]KeptBack
	status   bool
	snapshot bool
	warnings []error
}

func (c *copier) run(ctx context.Context) error {
	if err := c.plan.to.CheckClock(); err != nil {
		return err
	}
	for step, tags := range c.plan.steps {
		if err := c.step(ctx, tags, step < copyRest); err != nil {
			return err
		}
	}
	if err := c.passLate(ctx); err != nil {
		return err
	}
	if c.plan.Status != (revision.Tag{}) {
		if err := c.copyStatus(ctx); err != nil {
			return err
		}
	}
	if err := c.writeSnapshot(ctx); err != nil {
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
		c.warn(fmt.Errorf("destination: %w", err)) // it is whole without
	}
	return nil
}

func (c *copier) result() CopyResult {
	for _, n := range c.plan.copied() {
		if n.lost != (revision.Tag{}) {
			c.keep(n.lost, c.plan.from.whyUncertain(n.lost))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := CopyResult{Copied: c.copied, Present: c.present, Status: c.status, Snapshot: c.snapshot}
	for _, k := range c.kept {
		r.Kept = append(r.Kept, k)
	}
	slices.SortFunc(r.Kept, func(a, b KeptBack) int { return strings.Compare(a.Name, b.Name) })
	r.Warnings = c.plan.from.Warnings()
	for _, warning := range c.plan.view.Warnings() {
		r.Warnings = append(r.Warnings, fmt.Errorf("destination: %w", warning))
	}
	r.Warnings = append(r.Warnings, c.warnings...)
	return r
}

func (c *copier) warn(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.warnings = append(c.warnings, err)
	}
}

// keep keeps back what is left of a name.
func (c *copier) keep(tag revision.Tag, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, kept := c.kept[tag.Name]; !kept {
		c.kept[tag.Name] = KeptBack{tag.Name, tag, err}
	}
}

func (c *copier) isKept(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, kept := c.kept[name]
	return kept
}

// copyBatch is how many revisions are held at a time: a look into a segment reads it from
// its beginning.
const copyBatch = 2048

// step copies some revisions in any order. Each must be one if the step comes before the
// rest.
func (c *copier) step(ctx context.Context, tags []revision.Tag, must bool) error {
	for some := range slices.Chunk(tags, copyBatch) {
		some = slices.DeleteFunc(slices.Clone(some), func(tag revision.Tag) bool { return c.isKept(tag.Name) })
		items, err := c.load(ctx, some)
		if err != nil {
			return err
		}
		c.noteSigned(items)
		err = eachOf(ctx, c.plan.options.Parallel, some, func(ctx context.Context, tag revision.Tag) error {
			item := items[tag]
			switch {
			case item == nil && must:
				c.keep(tag, cmp.Or(c.plan.from.whyNone(tag), fmt.Errorf("%w: revision %s is no longer there", entry.ErrUnreachable, tag)))
				return nil
			case item == nil || c.isKept(tag.Name):
				return nil
			}
			return c.copy(ctx, item)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load returns the revisions under some tags of the source, without what is none or no
// longer stands.
func (c *copier) load(ctx context.Context, want []revision.Tag) (map[revision.Tag]*CopyItem, error) {
	want, err := c.plan.from.dropAbsent(ctx, want)
	if err != nil {
		return nil, err
	}
	items := map[revision.Tag]*CopyItem{}
	missing := c.atHand(ctx, want, items)
	if ctx.Err() != nil {
		return nil, timedOut(ctx)
	}
	err = c.plan.from.eachFetched(ctx, missing, func(tag revision.Tag, sum digest.Digest, manifest []byte) {
		c.add(items, validRecord{tag, opened{manifest: manifest, digest: sum}})
	})
	return items, err
}

// atHand is load without asking the source, but for its segments. It returns what is not
// at hand.
func (c *copier) atHand(ctx context.Context, want []revision.Tag, items map[revision.Tag]*CopyItem) (missing []revision.Tag) {
	v := c.plan.from
	for _, tag := range want {
		if f, _ := v.log.known.get(tag); f.manifest != nil {
			c.add(items, validRecord{tag, opened{manifest: f.manifest, digest: digest.FromBytes(f.manifest)}})
		} else if !v.isNone(tag) {
			missing = append(missing, tag)
		}
	}
	return v.log.eachRecord(ctx, c.segments, missing, func(o validRecord) { c.add(items, o) })
}

// add decodes a revision, and makes the item of it.
func (c *copier) add(items map[revision.Tag]*CopyItem, o validRecord) {
	v := c.plan.from
	found := map[revision.Tag]*revision.Revision{}
	v.decode(o.tag, o.digest, o.manifest, found)
	if r := found[o.tag]; r != nil {
		f, _ := v.log.known.get(o.tag)
		items[o.tag] = &CopyItem{
			Revision: r, Manifest: o.manifest, Carried: len(f.segments) > 0,
			Signatures: union(o.signatures, v.log.Signatures(o.tag)),
		}
	}
}

// noteSigned notes whether the source is known to have signatures.
func (c *copier) noteSigned(items map[revision.Tag]*CopyItem) {
	for _, item := range items {
		c.signed = c.signed || len(item.Signatures) > 0
	}
	for _, item := range items {
		item.Signed = c.signed
	}
}

// copy puts one revision into the destination: the tag last. An error means that nothing
// can be said or done any more.
func (c *copier) copy(ctx context.Context, item *CopyItem) error {
	r := item.Revision
	packed := &revision.Packed{Tag: r.Tag, Manifest: item.Manifest, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: r.Digest, Size: r.Size,
	}}
	pushed := sync.OnceValue(func() error { return c.pushBlobs(ctx, item.Manifest) })
	item.put = func(ctx context.Context) error {
		if err := pushed(); err != nil {
			return err
		}
		return c.plan.to.target.PushManifest(ctx, packed.Descriptor, packed.Manifest, r.Digest.String())
	}
	if before := c.plan.options.Before; before != nil {
		if err := before(ctx, item); err != nil {
			if ctx.Err() == nil {
				c.keep(r.Tag, err)
			}
			return ctx.Err()
		}
	}
	var lost *blobError
	if err := pushed(); errors.As(err, &lost) {
		c.keep(r.Tag, err)
		return nil
	} else if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	err := c.plan.to.target.PushManifest(ctx, packed.Descriptor, packed.Manifest, r.Tag.String())
	if err == nil {
		err = c.plan.to.awaitVisible(ctx, packed)
	}
	if errors.Is(err, entry.ErrConflict) {
		c.keep(r.Tag, fmt.Errorf("destination: %w", err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	c.done(packed, item)
	return nil
}

// done notes that the destination shows a revision.
func (c *copier) done(packed *revision.Packed, item *CopyItem) {
	what := valid
	if item.Revision.Later != "" {
		what = later
	}
	c.plan.to.wrote(packed, what)
	c.plan.to.recordSignatures(packed.Tag, item.Signatures)
	c.mu.Lock()
	c.copied++
	c.mu.Unlock()
	if c.plan.options.Copied != nil {
		c.plan.options.Copied(packed.Tag)
	}
}

// blobError says that the source does not have a blob that a revision needs, or that no
// reader takes it.
type blobError struct{ error }

func (e *blobError) Unwrap() error { return e.error }

// maxCopied bounds a blob of a revision, and how many there may be: of a later format, as
// those of this one have two.
const (
	maxCopied      = 64 << 20
	maxCopiedBlobs = 64
)

// pushBlobs pushes what a manifest names: what it embeds, and what the source has.
func (c *copier) pushBlobs(ctx context.Context, manifest []byte) error {
	var parsed ocispec.Manifest
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		return &blobError{fmt.Errorf("%w: manifest: %v", entry.ErrMalformed, err)}
	}
	all := append([]ocispec.Descriptor{parsed.Config}, parsed.Layers...)
	if len(all) > maxCopiedBlobs {
		return &blobError{fmt.Errorf("%w: %d blobs, more than the %d that are copied", entry.ErrMalformed, len(all), maxCopiedBlobs)}
	}
	for _, d := range all {
		empty := d.Digest == ocispec.DescriptorEmptyJSON.Digest
		if empty && c.empty.Load() {
			continue
		}
		content, err := c.blob(ctx, d)
		if err != nil {
			return err
		}
		plain := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(content))}
		if err := c.plan.to.target.PushBlob(ctx, plain, content); err != nil {
			return err
		}
		if empty {
			c.empty.Store(true)
		}
	}
	return nil
}

// blob returns what a descriptor names.
func (c *copier) blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	empty := ocispec.DescriptorEmptyJSON
	switch {
	case d.Digest == empty.Digest:
		return empty.Data, nil
	case d.Data != nil && digest.FromBytes(d.Data) == d.Digest:
		return d.Data, nil
	case d.Digest.Validate() != nil || d.Size < 0 || d.Size > maxCopied:
		return nil, &blobError{fmt.Errorf("%w: blob %q of %d bytes", entry.ErrMalformed, d.Digest, d.Size)}
	}
	content, err := c.plan.from.log.target.Blob(ctx, d)
	if errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrMalformed) {
		return nil, &blobError{err}
	}
	return content, err
}
