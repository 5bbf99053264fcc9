package inspect

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Source is where an image is stored: a repository of package registry.
type Source interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
	StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error
	Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

// Image is what an image says of itself.
type Image struct {
	Descriptor ocispec.Descriptor // of the manifest or index that the reference names
	Observed   revision.Observed
	Metadata   entry.Metadata      // from annotations, labels and media types
	Artifacts  []revision.Artifact // the files of disk images: the image's own, then those attached to it
	IsDisk     bool                // it is a disk image, and no container
	// Listed is what the registry says refers to Descriptor, catalogs' own
	// attachments too. Nobody has read them. nil where it does not say.
	Listed []digest.Digest
	// Incomplete: the registry did not say what is attached. Artifacts and
	// Observed.Referrers may lack some.
	Incomplete bool
	Warnings   []string // what was left out, and why; at most maxWarnings
	// Manifests are those of the image: what the reference names, then all
	// below it, then the attached disk images. Each is there once.
	Manifests []Manifest
}

// Manifest is a manifest or an index, read.
type Manifest struct {
	Descriptor ocispec.Descriptor // media type, digest and size
	Content    []byte
}

// Inspect reads the manifest or index that ref names in its repository, and
// what lies below it and is attached to it. An image of which a part is not
// there is an entry.ErrNotFound; one that cannot be an image, or lies about
// sizes, is an entry.ErrMalformed.
func Inspect(ctx context.Context, from Source, ref registry.Reference) (*Image, error) {
	l := newLook(from, ref)
	root, manifests, err := l.tree(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	referrers := l.startReferrers(ctx, root, manifests)
	defer referrers.stop()
	if err := l.content(ctx, root, manifests); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	root.each(func(n *node) {
		l.image.Manifests = append(l.image.Manifests, Manifest{plain(n.descriptor), n.body})
	})
	l.describe(root, manifests)
	if err := l.attached(ctx, referrers, root, manifests); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	return l.image, nil
}

// Check is Inspect without what is attached to the image: whether all of its
// content is there, and what ref names now. The errors are the same.
func Check(ctx context.Context, from Source, ref registry.Reference) (ocispec.Descriptor, error) {
	l := newLook(from, ref)
	root, manifests, err := l.tree(ctx)
	if err == nil {
		err = l.content(ctx, root, manifests)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("check %s: %w", ref, err)
	}
	return l.image.Descriptor, nil
}

// Manifests reads the manifest or index that ref names and what lies below it, each
// once, the first first. It reads no configs, and looks for no layers.
func Manifests(ctx context.Context, from Source, ref registry.Reference) (all []Manifest, err error) {
	look := newLook(from, ref)
	root, err := look.walk(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	root.each(func(n *node) { all = append(all, Manifest{plain(n.descriptor), n.body}) })
	return all, nil
}

// look is one inspection under way.
type look struct {
	from  Source
	ref   registry.Reference
	image *Image
	blobs map[digest.Digest]int64 // every distinct blob, with its size
}

func newLook(from Source, ref registry.Reference) *look {
	return &look{from: from, ref: ref, image: &Image{}, blobs: map[digest.Digest]int64{}}
}

// tree reads the manifests of an image.
func (l *look) tree(ctx context.Context) (root *node, manifests []*node, err error) {
	if root, err = l.walk(ctx); err != nil {
		return nil, nil, err
	}
	l.image.Descriptor = plain(root.descriptor)
	manifests = root.manifests()
	if root.isIndex() && len(manifests) == 0 {
		return nil, nil, fmt.Errorf("%w: the index names no manifest of an image", entry.ErrMalformed)
	}
	return root, manifests, l.count(manifests)
}

// content reads the configs, and looks for the layers, all beside each other.
func (l *look) content(ctx context.Context, root *node, manifests []*node) error {
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error { return l.readConfigs(within, root) })
	group.Go(func() error { return l.stat(within, manifests) })
	return group.Wait()
}

// describe collects what index, manifests and configs say. What the outermost
// says on a subject is taken.
func (l *look) describe(root *node, manifests []*node) {
	facts := facts{look: l}
	root.each(func(n *node) {
		for _, warning := range n.warnings {
			if !slices.Contains(l.image.Warnings, warning) {
				l.warn("%s", warning)
			}
		}
		if n.isIndex() {
			facts.annotations(n.index.Annotations)
		}
	})
	l.image.IsDisk = slices.ContainsFunc(manifests, func(n *node) bool { return isDisk(n.manifest) }) &&
		!slices.ContainsFunc(manifests, (*node).runs)
	for _, n := range manifests {
		facts.annotations(n.manifest.Annotations)
		facts.config(n.config)
		facts.created(n)
		facts.disk(n.descriptor.Digest, n.manifest)
		l.image.Observed.LayerCount = max(l.image.Observed.LayerCount, len(n.manifest.Layers))
		if root.isIndex() && (n.runs() || isDisk(n.manifest)) {
			l.image.Observed.Platforms = append(l.image.Observed.Platforms, facts.platform(n))
		}
	}
	if len(l.image.Observed.Platforms) > 1 {
		// Of several platforms, none is the entry's.
		l.image.Metadata.Architecture, l.image.Metadata.Variant = "", ""
	}
}

// maxWarnings bounds what is reported of one image.
const maxWarnings = 20

func (l *look) warn(format string, args ...any) {
	if len(l.image.Warnings) < maxWarnings {
		l.image.Warnings = append(l.image.Warnings, fmt.Sprintf(format, args...))
	}
}

func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
