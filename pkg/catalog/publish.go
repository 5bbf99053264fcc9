package catalog

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/inspect"
	"github.com/oci-catalog/caib/pkg/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// PublishOptions say what a publication adds to what the image says of itself.
type PublishOptions struct {
	Name        string // "" is the last component of the image's repository
	Version     string
	Description string
	Tags        []string
	Labels      map[string]string
	// Metadata fills in what the image does not say. Where the two differ the
	// image's word stands, and a warning names both.
	Metadata entry.Metadata
	Digest   digest.Digest // pins the image: anything else is refused; "" does not
	NoAttach bool          // write nothing to the image's repository
	DryRun   bool          // write nothing at all
}

// Outcome says what a publication did.
type Outcome string

// The outcomes of a publication.
const (
	Published Outcome = "published"
	Unchanged Outcome = "unchanged" // the entry says exactly this already; nothing was written
	Planned   Outcome = "planned"   // a dry run: nothing was written
)

// Result is what became of a publication.
type Result struct {
	Outcome    Outcome    `json:"outcome"`
	Item       entry.Item `json:"item"`
	Tag        string     `json:"tag,omitempty"` // of the revision in the catalog's repository
	Attachment Attachment `json:"attachment"`
	Snapshot   bool       `json:"snapshot"` // a snapshot was due, and written
	// Warnings are what went less than well without making the publication
	// less valid.
	Warnings []string `json:"warnings,omitempty"`
}

// Publish inspects an image and makes it the live state of an entry, new or
// not (SPEC section 12). Calling it again with the same image and options
// changes nothing. An image that is live under another name is an
// entry.ErrConflict; one that cannot be read is not published.
func (c *Catalog) Publish(ctx context.Context, image string, options PublishOptions) (Result, error) {
	return c.publish(ctx, image, options, entry.Source{Type: entry.SourceManual}, false)
}

// Add publishes an image that somebody else built, under a name that must be
// new, and never writes to the image's repository.
func (c *Catalog) Add(ctx context.Context, name, image string, options PublishOptions) (Result, error) {
	options.Name, options.NoAttach = name, true
	return c.publish(ctx, image, options, entry.Source{Type: entry.SourceExternal}, true)
}

func (c *Catalog) publish(ctx context.Context, image string, options PublishOptions, source entry.Source, mustBeNew bool) (Result, error) {
	var result Result
	ref, err := registry.ParseReference(image)
	if err != nil {
		return result, fmt.Errorf("image: %w", err)
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	if ref.Layout != "" {
		// Readers stand in other directories.
		if ref.Layout, err = filepath.Abs(ref.Layout); err != nil {
			return result, fmt.Errorf("image: %w", err)
		}
	}
	name := cmp.Or(options.Name, defaultName(ref))
	if err := checkTyped(name, ref, options, source); err != nil {
		return result, err
	}
	repository, err := c.options.Registry.Open(ref)
	if err != nil {
		return result, err
	}
	inspected, err := inspect.Inspect(ctx, repository, ref)
	if err != nil {
		return result, err
	}
	result.Warnings = inspected.Warnings
	if options.Digest != "" && inspected.Descriptor.Digest != options.Digest {
		return result, fmt.Errorf("%w: %s is %s, not %s", entry.ErrConflict, ref, inspected.Descriptor.Digest, options.Digest)
	}
	document := compose(name, ref, inspected, options, source, &result)

	view, err := c.refresh(ctx)
	if err != nil {
		return result, err
	}
	live, err := view.Live(ctx, zeroTime)
	c.warn(view.Warnings()...)
	if err != nil {
		return result, err
	}
	old, err := standing(live, document, mustBeNew)
	if err != nil {
		return result, err
	}
	if head, err := view.Head(ctx, name, zeroTime); err != nil || head != nil && head.Newer != "" {
		return result, cmp.Or(err, fmt.Errorf("%w: entry %q is of a later format: upgrade caib to publish it", entry.ErrConflict, name))
	}
	if old != nil && old.Document.SameContent(document) {
		result.Outcome, result.Item = Unchanged, entry.NewItem(old)
		result.Attachment = Attachment{Outcome: AttachSkipped}
		return result, nil
	}
	document.PublishedAt = entry.NextTime(c.options.Now(), name, view.Tags())
	document.PublishedBy = c.options.Author
	if ahead := document.PublishedAt.Sub(c.options.Now()); ahead > time.Hour {
		result.Warnings = append(result.Warnings, fmt.Sprintf("the newest revision of %s is dated %s ahead of this clock; this one follows it", name, ahead.Round(time.Minute)))
	}
	packed, err := c.pack(ctx, document, old)
	if err != nil {
		return result, err
	}
	return c.write(ctx, packed, inspected, repository, options, view, result)
}

// write puts a packed publication into the log, then attaches it to its image
// and writes a snapshot; those two report their outcome and fail nothing.
func (c *Catalog) write(ctx context.Context, packed *entry.Packed, inspected *inspect.Image, repository registry.Repository, options PublishOptions, view *ocilog.View, result Result) (Result, error) {
	revision, err := entry.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		return result, err
	}
	result.Item, result.Tag = entry.NewItem(revision), packed.Tag.String()
	if options.DryRun {
		result.Outcome, result.Attachment = Planned, Attachment{Outcome: AttachSkipped}
		return result, nil
	}
	if err := c.log.Append(ctx, packed); err != nil {
		return result, fmt.Errorf("publish %s: %w", packed.Tag.Name, err)
	}
	c.forget()
	result.Outcome = Published
	result.Attachment = Attachment{Outcome: AttachSkipped}
	if !options.NoAttach {
		result.Attachment = attach(ctx, repository, packed, inspected.Descriptor)
	}
	result.Snapshot, err = c.log.Compact(ctx, view)
	if err != nil {
		result.Warnings = append(result.Warnings, fmt.Sprintf("the entry is published, but no snapshot was written: %v", err))
	}
	return result, nil
}

// checkTyped validates what the publisher typed, before anything is asked of
// any registry, and also where the image's word will replace it.
func checkTyped(name string, ref registry.Reference, options PublishOptions, source entry.Source) error {
	if err := entry.CheckName(name); err != nil {
		return err
	}
	_, err := entry.Pack(&entry.Document{
		Name: name, Version: options.Version, Description: options.Description,
		Image: entry.Image{Reference: ref.String(), Digest: digest.FromString(""), MediaType: ocispec.MediaTypeImageManifest},
		Tags:  options.Tags, Metadata: options.Metadata, Source: source, Labels: options.Labels,
		PublishedAt: entry.NewTime(time.UnixMilli(0)),
	})
	return err
}

// compose makes the document of a publication, apart from when and by whom.
func compose(name string, ref registry.Reference, image *inspect.Image, options PublishOptions, source entry.Source, result *Result) *entry.Document {
	metadata, differences := merge(image.Metadata, options.Metadata, image.Observed)
	result.Warnings = append(result.Warnings, differences...)
	return &entry.Document{
		Name: name, Version: options.Version, Description: options.Description,
		Image: entry.Image{
			Reference: ref.String(), Digest: image.Descriptor.Digest,
			MediaType: image.Descriptor.MediaType, Size: image.Descriptor.Size,
		},
		Tags: options.Tags, Metadata: metadata, Registry: image.Observed,
		Artifacts: image.Artifacts, Source: source, Labels: options.Labels,
	}
}

// standing returns the live publication of the document's name, or nil, and
// refuses what conflicts with the catalog (SPEC section 12).
func standing(live []*entry.Revision, document *entry.Document, mustBeNew bool) (*entry.Revision, error) {
	var old *entry.Revision
	for _, revision := range live {
		d := revision.Document
		switch {
		case d.Name == document.Name:
			old = revision
		case d.Image.Reference == document.Image.Reference:
			return nil, fmt.Errorf("%w: %s is published as %q already", entry.ErrConflict, d.Image.Reference, d.Name)
		}
	}
	if old != nil && mustBeNew {
		return nil, fmt.Errorf("%w: entry %q exists already", entry.ErrConflict, old.Document.Name)
	}
	return old, nil
}

// pack packs a document; one that describes the same image as before keeps
// what newer writers put into it.
func (c *Catalog) pack(ctx context.Context, document *entry.Document, old *entry.Revision) (*entry.Packed, error) {
	if old == nil || old.Document.Image.Digest != document.Image.Digest {
		return entry.Pack(document)
	}
	text, err := c.log.Text(ctx, old.Tag)
	if err != nil {
		return nil, err
	}
	return entry.PackRewrite(document, text)
}

// defaultName is the last component of the image's repository or directory.
func defaultName(ref registry.Reference) string {
	if ref.Layout != "" {
		return strings.ToLower(filepath.Base(filepath.Clean(ref.Layout)))
	}
	return path.Base(ref.Repository)
}
