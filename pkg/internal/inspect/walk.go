package inspect

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Bounds of the tree below an image.
const (
	maxPlatforms = 256 // manifests of all its indexes; the entry schema allows no more platforms
	maxDepth     = 4   // indexes within indexes
	maxText      = 64 << 20
	maxLayers    = 4096
	parallel     = 8
)

// node is a manifest or an index of an image, read.
type node struct {
	descriptor ocispec.Descriptor // as the index above describes it
	body       []byte
	parent     *node
	index      *ocispec.Index // of an index
	children   []*node
	manifest   ocispec.Manifest
	config     ocispec.Image // zero for an artifact
	warnings   []string      // what was read leniently
}

func (n *node) warn(format string, args ...any) {
	n.warnings = append(n.warnings, fmt.Sprintf(format, args...))
}

func (n *node) isIndex() bool { return n.index != nil }

// each visits a node and all below it, in the order of their indexes.
func (n *node) each(visit func(*node)) {
	visit(n)
	for _, child := range n.children {
		child.each(visit)
	}
}

// runs reports whether a manifest is a platform's: one of a container image, or
// of what its index names a platform for, and that is no artifact.
func (n *node) runs() bool {
	if n.isIndex() || n.isAttestation() {
		return false
	}
	platform, config := n.descriptor.Platform, n.manifest.Config.MediaType
	named := platform != nil && platform.Architecture != "" && platform.Architecture != unknown &&
		config != ocispec.MediaTypeEmptyJSON && config != ""
	return isConfig(config) && n.manifest.ArtifactType == "" || named && n.manifest.ArtifactType == ""
}

// isArtifact reports whether an index below the image's own is an artifact
// beside the platforms, whatever is in it.
func (n *node) isArtifact() bool {
	return n.isIndex() && n.parent != nil && n.index.ArtifactType != ""
}

// manifests returns the manifests of an image in the order of their indexes:
// those that run, or, where none does, all but attestations.
func (n *node) manifests() []*node {
	var running, all []*node
	n.each(func(n *node) {
		switch {
		case n.runs():
			running, all = append(running, n), append(all, n)
		case !n.isIndex() && !n.isAttestation():
			all = append(all, n)
		}
	})
	if len(running) > 0 {
		return running
	}
	return all
}

// walk reads the tree below the image's manifest or index, level by level.
// What several indexes name is read once.
func (l *look) walk(ctx context.Context) (*node, error) {
	descriptor, body, err := l.from.Manifest(ctx, l.ref.Target())
	if err == nil && l.ref.Digest != "" {
		err = checkDigest(descriptor.Digest, l.ref.Digest)
	}
	if err != nil {
		return nil, err
	}
	root := &node{descriptor: descriptor}
	if err := root.read(body); err != nil {
		return nil, err
	}
	seen := map[digest.Digest]bool{descriptor.Digest: true}
	text := descriptor.Size
	for depth, level := 0, []*node{root}; len(level) > 0; depth++ {
		var below []*node
		for _, n := range level {
			if err := n.addChildren(seen); err != nil {
				return nil, err
			}
			below = append(below, n.children...)
		}
		for _, n := range below {
			if text += n.descriptor.Size; text > maxText {
				return nil, fmt.Errorf("%w: manifests of more than %d bytes together", entry.ErrMalformed, maxText)
			}
		}
		switch {
		case len(below) > 0 && depth == maxDepth:
			return nil, fmt.Errorf("%w: indexes within indexes, more than %d deep", entry.ErrMalformed, maxDepth)
		case len(seen) > maxPlatforms+1:
			return nil, fmt.Errorf("%w: more than the %d manifests allowed", entry.ErrMalformed, maxPlatforms)
		}
		if err := l.fetch(ctx, below); err != nil {
			return nil, err
		}
		level = below
	}
	return root, nil
}

// addChildren makes nodes of what an index names, apart from what was seen already.
func (n *node) addChildren(seen map[digest.Digest]bool) error {
	if !n.isIndex() || n.isArtifact() {
		return nil
	}
	if len(n.index.Manifests) > maxPlatforms {
		return fmt.Errorf("%w: an index of %d manifests, more than the %d allowed", entry.ErrMalformed, len(n.index.Manifests), maxPlatforms)
	}
	for _, d := range n.index.Manifests {
		if !isManifest(d.MediaType) && !isIndex(d.MediaType) {
			continue
		}
		if !isDigest(d.Digest) { // else it might be taken for a tag
			return fmt.Errorf("%w: index: %q is no digest", entry.ErrMalformed, d.Digest)
		}
		if d.Size < 0 || d.Size > revision.MaxManifest {
			return fmt.Errorf("%w: index: %s has a size of %d bytes", entry.ErrMalformed, d.Digest, d.Size)
		}
		for above := n; above != nil; above = above.parent {
			if above.descriptor.Digest == d.Digest {
				return fmt.Errorf("%w: index %s contains itself", entry.ErrMalformed, d.Digest)
			}
		}
		if !seen[d.Digest] {
			seen[d.Digest] = true
			n.children = append(n.children, &node{descriptor: d, parent: n})
		}
	}
	return nil
}

// manifest reads a manifest by its digest. That the bytes hash to the digest in
// the descriptor is for the repository to make sure; that it is the one that was
// asked for is checked here.
func (l *look) manifest(ctx context.Context, wanted digest.Digest) (ocispec.Descriptor, []byte, error) {
	found, body, err := l.from.Manifest(ctx, wanted.String())
	if err == nil {
		err = checkDigest(found.Digest, wanted)
	}
	return found, body, err
}

func checkDigest(found, wanted digest.Digest) error {
	if found != wanted {
		return fmt.Errorf("%w: %s was asked for, and %q came", entry.ErrUnreachable, wanted, found)
	}
	return nil
}

// fetch reads nodes that their indexes describe, and checks them against the
// description.
func (l *look) fetch(ctx context.Context, nodes []*node) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, n := range nodes {
		group.Go(func() error {
			found, body, err := l.manifest(within, n.descriptor.Digest)
			if err != nil {
				return fmt.Errorf("platform %s: %w", n.descriptor.Digest, err)
			}
			if found.Size != n.descriptor.Size || found.MediaType != n.descriptor.MediaType {
				return fmt.Errorf("%w: platform %s is %s of %d bytes, where its index says %s of %d", entry.ErrMalformed,
					n.descriptor.Digest, mediaType(found.MediaType), found.Size, mediaType(n.descriptor.MediaType), n.descriptor.Size)
			}
			return n.read(body)
		})
	}
	return group.Wait()
}

// read parses a manifest or an index.
func (n *node) read(body []byte) error {
	n.body = body
	switch {
	case isIndex(n.descriptor.MediaType):
		n.index = new(ocispec.Index)
		if err := readManifest(body, n.index, n.warn); err != nil {
			return fmt.Errorf("%w: index: %v", entry.ErrMalformed, err)
		}
		return nil
	case !isManifest(n.descriptor.MediaType):
		return fmt.Errorf("%w: a manifest of type %q, which is not supported", entry.ErrMalformed, n.descriptor.MediaType)
	}
	if err := readManifest(body, &n.manifest, n.warn); err != nil {
		return fmt.Errorf("%w: manifest: %v", entry.ErrMalformed, err)
	}
	if len(n.manifest.Layers) > maxLayers {
		return fmt.Errorf("%w: %d layers, more than the %d allowed", entry.ErrMalformed, len(n.manifest.Layers), maxLayers)
	}
	for _, d := range n.blobs() {
		if d.Size < 0 || d.Size > maxBytes || !isDigest(d.Digest) {
			return fmt.Errorf("%w: manifest: a descriptor with size %d and digest %q", entry.ErrMalformed, d.Size, d.Digest)
		}
	}
	return nil
}

// readConfigs reads those of all manifests below a node.
func (l *look) readConfigs(ctx context.Context, root *node) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	root.each(func(n *node) {
		if !n.isIndex() && isConfig(n.manifest.Config.MediaType) && !n.isAttestation() {
			group.Go(func() error { return l.readConfig(within, n) })
		}
	})
	return group.Wait()
}

func (l *look) readConfig(ctx context.Context, n *node) error {
	where := "config"
	if n.parent != nil {
		where = fmt.Sprintf("platform %s: config", n.descriptor.Digest)
	}
	text, err := l.from.Blob(ctx, plain(n.manifest.Config))
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if n.config, err = readConfig(text, n.warn); err != nil {
		return fmt.Errorf("%w: %s: %v", entry.ErrMalformed, where, err)
	}
	return nil
}

// blobs returns what a manifest names: its config, then its layers.
func (n *node) blobs() []ocispec.Descriptor {
	return append([]ocispec.Descriptor{n.manifest.Config}, n.manifest.Layers...)
}
