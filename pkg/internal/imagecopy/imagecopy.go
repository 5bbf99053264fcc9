// Package imagecopy copies images by digest from one repository to another, with all
// that is below them and all that refers to them.
//
//	copier := imagecopy.New(imagecopy.Options{Catalog: "registry.example.com/mirror/catalog"})
//	result, err := copier.Copy(ctx, from, to, digest)
//
// Manifests keep their bytes. What is below a manifest is there before it, and what
// refers to it before the tag that keeps it (SPEC section 12): where that tag names the
// manifest, all of it has been copied, and nothing more is asked.
//
// # Glossary
//
// A tree is a manifest and all that is below it; a referrer is an artifact that says
// which manifest it belongs to; a signature tag is cosign's older way to say so, by a
// tag that is made of the digest (sha256-….sig, .att, .sbom); an attachment is either.
package imagecopy

import (
	"context"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/keylock"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Options configure a Copier.
type Options struct {
	// Catalog is the normal form of the catalog that the images are copied for: the
	// tags that keep them name it.
	Catalog string
	// Parallel bounds the blobs that are copied at once, and the large ones among them
	// to a quarter; 0 is 8.
	Parallel int
	// Progress is told how many bytes of blobs were read so far, in all copies together:
	// one call at a time, from any goroutine. nil is nobody.
	Progress func(moved int64)
	// Refresh looks for new attachments of images that have been copied.
	Refresh bool
}

// Result is what one copy did.
type Result struct {
	Manifests int      // of the image, that were written
	Blobs     int      // that were transferred, mounted, or found to be there
	Referrers int      // attachments that were written
	Moved     int64    // bytes of blobs that were transferred
	Warnings  []string // what could not be copied beside the image
}

const (
	maxTargets  = 64      // repositories whose blobs are remembered
	maxThere    = 1 << 14 // blobs of one that are
	maxWarnings = 64
	large       = 64 << 20 // bytes of a blob of which few are copied at once
)

// Copier copies images. It remembers what is there, so that blobs of several images are
// looked for once. It is safe for concurrent use.
type Copier struct {
	options      Options
	attachments  int           // of one image that are copied, at most
	slots, large chan struct{} // full while as many blobs are copied as may be

	targets *lru.Cache[registry.Repository, *target]
	sources *lru.Cache[registry.Repository, *source]

	mu    sync.Mutex
	moved int64
}

// target is what is known of a repository that is copied to.
type target struct {
	there *lru.Cache[digest.Digest, struct{}] // blobs
	locks keylock.Locks                       // by digest, of blobs under way
}

// New makes a Copier.
func New(options Options) *Copier {
	if options.Parallel <= 0 {
		options.Parallel = 8
	}
	c := &Copier{options: options, attachments: maxAttachments, slots: make(chan struct{}, options.Parallel), large: make(chan struct{}, max(1, options.Parallel/4))}
	c.targets, _ = lru.New[registry.Repository, *target](maxTargets) // never fails: the size is positive
	c.sources, _ = lru.New[registry.Repository, *source](maxTargets)
	return c
}

// Copy copies the image that a digest names. What the image lacks is an
// entry.ErrNotFound, and what is not as its digest says an entry.ErrMalformed; of
// attachments both are warnings, as it is that the source does not list them. Where the
// tag that keeps the image is there, one request is all. Pass the same Repository for
// each image of it.
func (c *Copier) Copy(ctx context.Context, from, to registry.Repository, root digest.Digest) (Result, error) {
	if err := root.Validate(); err != nil {
		return Result{}, fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, root, err)
	}
	there, _ := lru.New[digest.Digest, struct{}](maxThere) // never fails: the size is positive
	made := &target{there: there}
	if known, ok, _ := c.targets.PeekOrAdd(to, made); ok {
		c.targets.Get(to) // it is used
		made = known
	}
	r := &run{Copier: c, from: from, to: to, target: made, visited: map[string]bool{}}
	err := r.image(referrertag.WithCatalog(ctx, c.options.Catalog), root)
	if r.begun > c.attachments {
		r.warn("%s has more attachments than the %d that are copied: %d are left out", root, c.attachments, r.begun-c.attachments)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result, err
}

// run is one copy.
type run struct {
	*Copier
	from, to registry.Repository
	target   *target

	mu      sync.Mutex
	result  Result
	visited map[string]bool // referrers, by digest, and signature tags
	begun   int             // attachments
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.result.Warnings) < maxWarnings {
		r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
	}
}

// count changes the result.
func (r *run) count(change func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.result)
}

// visit reports whether nobody was here before.
func (r *run) visit(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.visited[name]
	r.visited[name] = true
	return !before
}

// mayAttach reports whether one more attachment of the image may be copied: there may be
// attachments of attachments, and anybody may have made them.
func (r *run) mayAttach() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	return r.begun <= r.Copier.attachments
}

// keep is the tag that keeps a manifest.
func (r *run) keep(d digest.Digest) string { return referrertag.Keep(r.options.Catalog, d) }

// isKept reports whether a manifest is known to be there with all that belongs to it.
func (r *run) isKept(ctx context.Context, d digest.Digest) bool {
	found, err := r.to.Resolve(ctx, r.keep(d))
	return err == nil && found.Digest == d
}

// image copies the tree of an image, each manifest after what is below it.
func (r *run) image(ctx context.Context, root digest.Digest) error {
	kept := r.isKept(ctx, root)
	if kept && !r.options.Refresh {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	t, err := r.read(ctx, root, r.isKept)
	if err != nil {
		return err
	}
	t.root.kept = kept
	if err := r.copyBlobs(ctx, t); err != nil {
		return err
	}
	return t.each(ctx, r.commit)
}

// commit writes a manifest of an image: by its digest, so that others can refer to it;
// then what does; then under the tag that keeps it.
func (r *run) commit(ctx context.Context, n *node) error {
	var attached attachments
	if !n.isAttestation() && !n.isLast() {
		attached = r.attachments(ctx, n.descriptor)
	}
	if !n.kept && !attached.none() {
		if err := r.to.PushManifest(ctx, n.descriptor, n.content, n.descriptor.Digest.String()); err != nil {
			return err
		}
	}
	if err := r.copyAttachments(ctx, n.descriptor, attached, 1, n.kept); err != nil || n.kept {
		return err
	}
	err := r.to.PushManifest(ctx, n.descriptor, n.content, r.keep(n.descriptor.Digest))
	if err == nil {
		r.count(func(result *Result) { result.Manifests++ })
	}
	return err
}

// plain is a descriptor of content alone.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
