package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	maxPlatforms = 256 // of one index; the entry schema allows no more
	maxLayers    = 4096
	maxBytes     = 1<<53 - 1 // of all blobs of one manifest; the entry schema allows no more
	parallel     = 8
	unknown      = "unknown" // what BuildKit calls the platform of an attestation
)

// Image is what an image says of itself.
type Image struct {
	Descriptor ocispec.Descriptor // of the manifest or index that the reference names
	Observed   entry.Observed
	Metadata   entry.Metadata   // from annotations, labels and media types
	Artifacts  []entry.Artifact // the files of a disk image
	Warnings   []string         // what was dropped, and why
}

// Inspect reads the manifest or index that ref names in its repository, and
// what lies below it. An image that is not there is an entry.ErrNotFound; one
// that cannot be an image is an entry.ErrInvalid.
func Inspect(ctx context.Context, from registry.Fetcher, ref registry.Reference) (*Image, error) {
	descriptor, body, err := from.Manifest(ctx, ref.Target())
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	image := &Image{Descriptor: plain(descriptor)}
	look := &look{from: from, ref: ref, image: image, blobs: map[digest.Digest]int64{}}
	switch {
	case isIndex(descriptor.MediaType):
		err = look.index(ctx, body)
	case isManifest(descriptor.MediaType):
		err = look.single(ctx, descriptor, body)
	default:
		err = fmt.Errorf("%w: media type %q is neither a manifest nor an index", entry.ErrInvalid, descriptor.MediaType)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	for _, size := range look.blobs {
		image.Observed.SizeBytes += size
	}
	return image, nil
}

// look is one inspection under way.
type look struct {
	from  registry.Fetcher
	ref   registry.Reference
	image *Image
	blobs map[digest.Digest]int64 // every distinct blob, with its size
}

// part is one manifest, read.
type part struct {
	manifest ocispec.Manifest
	config   ocispec.Image // zero for an artifact
	size     int64         // of its distinct blobs
}

func (l *look) single(ctx context.Context, descriptor ocispec.Descriptor, body []byte) error {
	p, err := l.read(ctx, body)
	if err != nil {
		return err
	}
	l.count(p.manifest)
	l.image.Observed.LayerCount = len(p.manifest.Layers)
	l.created(p)
	facts := facts{look: l}
	facts.annotations(p.manifest.Annotations)
	facts.config(p.config)
	facts.disk(descriptor.Digest, p.manifest)
	return nil
}

func (l *look) index(ctx context.Context, body []byte) error {
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return fmt.Errorf("%w: index: %v", entry.ErrInvalid, err)
	}
	if len(index.Manifests) > maxPlatforms {
		return fmt.Errorf("%w: an index of %d manifests, more than the %d allowed", entry.ErrInvalid, len(index.Manifests), maxPlatforms)
	}
	parts := make([]*part, len(index.Manifests))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, d := range index.Manifests {
		if !isManifest(d.MediaType) || attestation(d) {
			continue
		}
		group.Go(func() error {
			if err := d.Digest.Validate(); err != nil { // else it might be taken for a tag
				return fmt.Errorf("%w: platform %q: %v", entry.ErrInvalid, d.Digest, err)
			}
			_, body, err := l.from.Manifest(within, d.Digest.String())
			if err != nil {
				return fmt.Errorf("platform %s: %w", d.Digest, err)
			}
			parts[i], err = l.read(within, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	facts := facts{look: l}
	facts.annotations(index.Annotations)
	for i, p := range parts {
		if p == nil {
			continue
		}
		l.count(p.manifest)
		l.platform(index.Manifests[i], p)
		l.created(p)
		facts.annotations(p.manifest.Annotations)
		facts.config(p.config)
		facts.disk(index.Manifests[i].Digest, p.manifest)
	}
	if len(l.image.Observed.Platforms) == 0 {
		return fmt.Errorf("%w: the index names no manifest of an image", entry.ErrInvalid)
	}
	if len(l.image.Observed.Platforms) > 1 {
		// Of several platforms, none is the entry's.
		l.image.Metadata.Architecture, l.image.Metadata.Variant = "", ""
	}
	return nil
}

// read parses a manifest and fetches its config.
func (l *look) read(ctx context.Context, body []byte) (*part, error) {
	p := &part{}
	if err := json.Unmarshal(body, &p.manifest); err != nil {
		return nil, fmt.Errorf("%w: manifest: %v", entry.ErrInvalid, err)
	}
	if len(p.manifest.Layers) > maxLayers {
		return nil, fmt.Errorf("%w: %d layers, more than the %d allowed", entry.ErrInvalid, len(p.manifest.Layers), maxLayers)
	}
	seen := map[digest.Digest]bool{}
	for _, d := range append([]ocispec.Descriptor{p.manifest.Config}, p.manifest.Layers...) {
		if d.Size < 0 || d.Size > maxBytes-p.size || d.Digest.Validate() != nil {
			return nil, fmt.Errorf("%w: manifest: a descriptor with size %d and digest %q", entry.ErrInvalid, d.Size, d.Digest)
		}
		if !seen[d.Digest] {
			seen[d.Digest] = true
			p.size += d.Size
		}
	}
	if !isConfig(p.manifest.Config.MediaType) {
		return p, nil
	}
	text, err := l.from.Blob(ctx, plain(p.manifest.Config))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := json.Unmarshal(text, &p.config); err != nil {
		return nil, fmt.Errorf("%w: config: %v", entry.ErrInvalid, err)
	}
	return p, nil
}

func (l *look) count(manifest ocispec.Manifest) {
	for _, d := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		if _, counted := l.blobs[d.Digest]; !counted {
			l.blobs[d.Digest] = d.Size
		}
	}
	l.image.Observed.LayerCount = max(l.image.Observed.LayerCount, len(manifest.Layers))
}

// platform adds one manifest of an index. What the config says counts: the
// index's word is only a hint, and another tool's.
func (l *look) platform(d ocispec.Descriptor, p *part) {
	platform := p.config.Platform
	if platform.Architecture == "" && d.Platform != nil {
		platform = *d.Platform
	}
	facts := facts{look: l}
	l.image.Observed.Platforms = append(l.image.Observed.Platforms, entry.Platform{
		Architecture: entry.Architecture(facts.text("architecture", platform.Architecture)),
		OS:           facts.text("os", platform.OS),
		Variant:      facts.text("variant", platform.Variant),
		Digest:       d.Digest, SizeBytes: p.size, LayerCount: len(p.manifest.Layers),
	})
}

// created keeps the newest creation time; the zero time, and years that RFC
// 3339 cannot write, are as good as none.
func (l *look) created(p *part) {
	at := p.config.Created
	if at == nil {
		if parsed, err := time.Parse(time.RFC3339, p.manifest.Annotations[ocispec.AnnotationCreated]); err == nil {
			at = &parsed
		}
	}
	if at == nil || at.IsZero() || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return
	}
	created := entry.NewTime(*at)
	if l.image.Observed.CreatedAt == nil || created.After(l.image.Observed.CreatedAt.Time) {
		l.image.Observed.CreatedAt = &created
	}
}

func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func attestation(d ocispec.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == unknown && d.Platform.Architecture == unknown
}
