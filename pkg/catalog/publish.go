package catalog

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// PublishOptions say what a publication adds to what the image says of itself.
type PublishOptions struct {
	Name        string // "" is what ImageBuild says, else the last component of the image's repository
	Version     string
	Description string
	Tags        []string
	Labels      map[string]string
	// Metadata fills in what the image does not say. Where the two differ the
	// image's word is published, a warning names both, and the entry records it.
	Metadata entry.Metadata
	Override bool // Metadata is published where the two differ
	// NotBootc says that the image is no bootc container, as Metadata.Bootc says that
	// it is one; without either, nothing is said about it.
	NotBootc bool
	// TargetNotes are notes by the name of a target that Metadata or the image names.
	// One for another target is an entry.ErrTarget.
	TargetNotes map[string]string
	// Disk is the reference of a disk image that was built together with the
	// image: its files become artifacts of the entry. "" is none.
	Disk string
	// ImageBuild is what the build of the image says of it.
	ImageBuild ImageBuild
	Source     entry.Source  // where the image comes from; zero is Manual, and External for Add
	Digest     digest.Digest // pins the image: anything else is refused; "" does not
	// Move ends the entries with other names that have the same image, by its
	// reference and digest. Without it, such an entry is a conflict.
	Move bool
	// Inherit takes over from the live entry of that name its description, tags,
	// labels, and targets with their notes, where nothing else is said; that a target
	// is verified for the same image only, and the version never. What is left out
	// without it is in Loses of the result. An entry that the policy refuses or, with
	// Sign, does not verify, is a *trust.Error.
	Inherit bool
	Author  string      // recorded as publishedBy; "" is the catalog's
	Build   entry.Build // the run of a pipeline that publishes; zero is none
	// Wait is how long to wait for an image that is not in its registry yet, and for its
	// Disk; 0 does not. One that is not there by then is an entry.ErrNotFound.
	Wait time.Duration
	// Waiting is told, before each further look, what is waited for and since when; nil
	// is not.
	Waiting  func(reference string, since time.Duration)
	NoAttach bool // do not attach the entry to the image
	NoKeep   bool // put no tags that keep the image in its repository
	DryRun   bool // write nothing at all
	// Init begins the catalog where the registry does not let it be read, but
	// an upload may begin: some refuse what does not exist yet. Without it, that
	// is a *HiddenError. Where the catalog can be read it does nothing.
	Init bool
	// Unsigned goes on without Sign although the policy would refuse the result;
	// without it, that is an *UnsignedError.
	Unsigned bool
	// Sign signs the revision, and those that end entries with other names;
	// nil signs nothing.
	Sign *Signing
}

// PublishResult is what became of a publication.
type PublishResult struct {
	Outcome Outcome    `json:"outcome"`
	Item    entry.Item `json:"item"`
	Tag     string     `json:"tag,omitempty"` // of the revision in the catalog's repository
	// Signature and ImageSignature are those that were asked for.
	Signature      *Step `json:"signature,omitempty"`
	ImageSignature *Step `json:"imageSignature,omitempty"`
	Attachment     Step  `json:"attachment"`
	// SignatureAttachment is that of the revision's signatures, beside that of
	// the revision; nil where nothing was signed or nothing is attached.
	SignatureAttachment *Step `json:"signatureAttachment,omitempty"`
	// Keep is whether the manifests of the image and its artifacts are under tags of
	// the catalog's; nil where that was not to be.
	Keep     *Step `json:"keep,omitempty"`
	Snapshot bool  `json:"snapshot"` // a snapshot was due, and written
	// MovedFrom are the names that were ended, or would be in a dry run.
	MovedFrom []string `json:"movedFrom,omitempty"`
	// Loses names what the live entry says and this publication does not: "version",
	// "label team", "target rpi4 verified".
	Loses []string `json:"loses,omitempty"`
	// Warnings are what went less than well without making the publication
	// less valid.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Publish inspects an image and makes it the live state of an entry, new or
// not (SPEC section 12). Calling it again with the same image and options
// writes no revision, and restores the attachment and the signature if they are
// missing. An image that is live under another name is an
// entry.ErrConflict, unless it is moved; one that cannot be read is not
// published. A signature that was asked for and cannot be made is an error, and
// nothing is published.
func (c *Catalog) Publish(ctx context.Context, image string, options PublishOptions) (PublishResult, error) {
	return c.publish(ctx, image, options, entry.SourceManual, false)
}

// Add publishes an image that somebody else built, under a name that must be
// new, and never writes to the image's repository.
func (c *Catalog) Add(ctx context.Context, name, image string, options PublishOptions) (PublishResult, error) {
	options.Name, options.NoAttach, options.NoKeep = name, true, true
	return c.publish(ctx, image, options, entry.SourceExternal, true)
}

func (c *Catalog) publish(ctx context.Context, image string, options PublishOptions, source entry.SourceType, mustBeNew bool) (PublishResult, error) {
	if options.Source.Type == "" {
		options.Source.Type = source
	}
	p := &publication{catalog: c, options: options, mustBeNew: mustBeNew, built: built{override: options.Override}}
	err := p.run(ctx, image)
	return p.result, err
}
