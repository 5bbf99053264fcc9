package imagecopy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Bounds of a tree.
const (
	maxManifests = 257 // of all its indexes
	maxDepth     = 5   // of indexes within indexes
	maxText      = 64 << 20
	maxBlobs     = 4097 // of one manifest
	parallel     = 8    // manifests that are asked for at once
)

// tree is a manifest and all that is below it.
type tree struct {
	root  *node
	nodes map[digest.Digest]*node
	text  int64
}

// node is a manifest, read.
type node struct {
	descriptor ocispec.Descriptor
	platform   *ocispec.Platform // as the index above says
	content    []byte
	said       manifest
	kept       bool // it is there, with all that belongs to it
	height     int  // 0 is not known
}

// manifest is what of a manifest or an index a copy has to know. What tools wrote
// besides, and how, does not matter.
type manifest struct {
	ArtifactType string    `json:"artifactType"`
	Config       *content  `json:"config"`
	Layers       []content `json:"layers"`
	Manifests    []content `json:"manifests"`
	Subject      *content  `json:"subject"`
}

type content struct {
	MediaType string            `json:"mediaType"`
	Digest    digest.Digest     `json:"digest"`
	Size      int64             `json:"size"`
	URLs      []string          `json:"urls"`
	Platform  *ocispec.Platform `json:"platform"`
}

func (c content) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: c.MediaType, Digest: c.Digest, Size: c.Size}
}

// isForeign tells layers that are fetched from elsewhere than the registry.
func (c content) isForeign() bool {
	return len(c.URLs) > 0 && (strings.Contains(c.MediaType, "nondistributable") || strings.Contains(c.MediaType, "foreign"))
}

// isAttestation tells the manifests that BuildKit puts beside those of the platforms.
func (n *node) isAttestation() bool {
	const unknown = "unknown"
	return n.platform != nil && n.platform.OS == unknown && n.platform.Architecture == unknown
}

// blobs are what a manifest names and its registry has.
func (n *node) blobs() (blobs []ocispec.Descriptor) {
	if n.said.Config != nil && n.said.Config.Digest != "" {
		blobs = append(blobs, n.said.Config.descriptor())
	}
	for _, layer := range n.said.Layers {
		if !layer.isForeign() {
			blobs = append(blobs, layer.descriptor())
		}
	}
	return blobs
}

// children are the manifests and indexes that an index names.
func (n *node) children() (children []content) {
	for _, c := range n.said.Manifests {
		switch c.MediaType {
		case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
			"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json":
			children = append(children, c)
		}
	}
	return children
}

// read reads the tree of a digest at the source, level by level. What isKept, nil for
// nothing, reports to be there is left out, unless the copy is to be refreshed.
func (r *run) read(ctx context.Context, root digest.Digest, isKept func(context.Context, digest.Digest) bool) (*tree, error) {
	t := &tree{root: &node{descriptor: ocispec.Descriptor{Digest: root}}, nodes: map[digest.Digest]*node{}}
	t.nodes[root] = t.root
	for depth, level := 0, []*node{t.root}; len(level) > 0; depth++ {
		if depth > maxDepth {
			return nil, fmt.Errorf("%w: image %s: indexes within indexes, more than %d deep", entry.ErrMalformed, root, maxDepth)
		}
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for _, n := range level {
			group.Go(func() error {
				if n != t.root && isKept != nil {
					n.kept = isKept(within, n.descriptor.Digest)
				}
				if n.kept && !r.options.Refresh {
					return nil
				}
				return r.readNode(within, n)
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		var err error
		if level, err = t.below(level); err != nil {
			return nil, fmt.Errorf("image %s: %w", root, err)
		}
	}
	for _, n := range t.nodes {
		t.measure(n)
	}
	return t, nil
}

// below adds what the manifests of a level name, and returns what nobody has named
// before.
func (t *tree) below(level []*node) (next []*node, err error) {
	for _, n := range level {
		if t.text += int64(len(n.content)); t.text > maxText {
			return nil, fmt.Errorf("%w: manifests of more than %d bytes together", entry.ErrMalformed, maxText)
		}
		for _, child := range n.children() {
			if t.nodes[child.Digest] == nil {
				made := &node{descriptor: child.descriptor(), platform: child.Platform}
				t.nodes[child.Digest] = made
				next = append(next, made)
			}
		}
		if len(t.nodes) > maxManifests {
			return nil, fmt.Errorf("%w: more than the %d manifests allowed", entry.ErrMalformed, maxManifests)
		}
	}
	return next, nil
}

// measure sets the height of a node: 1 is that of one with nothing below it. No
// manifest is below itself, since it would have to name its own digest.
func (t *tree) measure(n *node) int {
	if n.height == 0 {
		below := 0
		for _, child := range n.children() {
			below = max(below, t.measure(t.nodes[child.Digest]))
		}
		n.height = below + 1
	}
	return n.height
}

// readNode reads a manifest.
func (r *run) readNode(ctx context.Context, n *node) error {
	want := n.descriptor.Digest
	found, text, err := r.from.Manifest(ctx, want.String())
	if err != nil {
		return err
	}
	if found.Digest != want || want.Algorithm().FromBytes(text) != want {
		return fmt.Errorf("%w: %s was asked for, and %q came", entry.ErrMalformed, want, found.Digest)
	}
	n.descriptor, n.content = plain(found), text
	if err := json.Unmarshal(text, &n.said); err != nil {
		return fmt.Errorf("%w: manifest %s: %v", entry.ErrMalformed, want, err)
	}
	if len(n.said.Layers) >= maxBlobs {
		return fmt.Errorf("%w: manifest %s: %d layers, more than the %d allowed", entry.ErrMalformed, want, len(n.said.Layers), maxBlobs-1)
	}
	for _, d := range n.blobs() {
		if d.Size < 0 || d.Digest.Validate() != nil {
			return fmt.Errorf("%w: manifest %s: a descriptor with size %d and digest %q", entry.ErrMalformed, want, d.Size, d.Digest)
		}
	}
	for _, child := range n.children() {
		if child.Digest.Validate() != nil { // else it might be taken for a tag
			return fmt.Errorf("%w: index %s: %q is no digest", entry.ErrMalformed, want, child.Digest)
		}
	}
	return nil
}

// each calls a function with the nodes of a tree: first with those that have nothing
// below them, those of one height at once. What was left out of the tree is left out.
func (t *tree) each(ctx context.Context, do func(context.Context, *node) error) error {
	for height := 1; height <= t.root.height; height++ {
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for _, n := range t.nodes {
			if n.height == height && n.content != nil {
				group.Go(func() error { return do(within, n) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}
