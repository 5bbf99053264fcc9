package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Base is what an increment goes on from: an archive, with all that it goes on from
// itself.
type Base struct {
	Catalog string // that the archive is of

	digest  digest.Digest // of its contents
	created string
	tags    map[string]bool
	blobs   map[digest.Digest]bool
	images  map[string]map[digest.Digest]bool // by repository
}

// Base returns the archive as what an increment goes on from. These are the images that
// a restore of it copies, by the repositories they are of: a registry holds a blob for
// one repository, and not for the next. It needs the archive no longer.
func (r *Reader) Base(ctx context.Context, images map[string][]digest.Digest) (*Base, error) {
	b := &Base{
		Catalog: r.Contents.Catalog, digest: r.digest, created: r.Contents.Created,
		tags: map[string]bool{}, blobs: map[digest.Digest]bool{}, images: map[string]map[digest.Digest]bool{},
	}
	for _, file := range r.Contents.Blobs {
		b.blobs[file.Digest] = true
	}
	for tag := range r.tags {
		if parsed, ok := revision.ParseTag(tag); ok && (parsed.Op == revision.OpPublish || parsed.Op == revision.OpRemove) {
			b.tags[tag] = true
		}
	}
	if further := r.Contents.Base; further != nil {
		b.goOnFrom(further)
	}
	for repository, roots := range images {
		for _, root := range roots {
			if err := r.hold(ctx, root, b.heldOf(repository)); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// goOnFrom adds what an increment goes on from itself.
func (b *Base) goOnFrom(further *BaseContents) {
	for _, tag := range further.Tags {
		b.tags[tag] = true
	}
	for _, d := range further.Blobs {
		b.blobs[d] = true
	}
	for repository, all := range further.Images {
		for _, d := range all {
			b.heldOf(repository)[d] = true
		}
	}
}

func (b *Base) heldOf(repository string) map[digest.Digest]bool {
	if b.images[repository] == nil {
		b.images[repository] = map[digest.Digest]bool{}
	}
	return b.images[repository]
}

// hold notes an image, and what is below it, as far as the archive has it.
func (r *Reader) hold(ctx context.Context, d digest.Digest, held map[digest.Digest]bool) error {
	if held[d] {
		return nil
	}
	_, text, err := r.Manifest(ctx, d.String())
	if errors.Is(err, entry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	held[d] = true
	var said struct {
		Config    ocispec.Descriptor   `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(text, &said) != nil {
		return nil // it names nothing
	}
	for _, blob := range append(said.Layers, said.Config) {
		if _, there := r.blobs[blob.Digest]; there {
			held[blob.Digest] = true
		}
	}
	for _, child := range said.Manifests {
		if err := r.hold(ctx, child.Digest, held); err != nil {
			return err
		}
	}
	return nil
}

// Has reports whether the base has a blob.
func (b *Base) Has(d digest.Digest) bool { return b.blobs[d] }

// HasTag reports whether the base has a revision under a tag.
func (b *Base) HasTag(tag string) bool { return b.tags[tag] }

// Holds reports whether a manifest or blob is one of an image of a repository, so that
// whoever restored the base has it there.
func (b *Base) Holds(repository string, d digest.Digest) bool { return b.images[repository][d] }

func (b *Base) contents() *BaseContents {
	c := &BaseContents{
		Contents: b.digest, Created: b.created, Tags: slices.Sorted(maps.Keys(b.tags)), Blobs: slices.Sorted(maps.Keys(b.blobs)),
		Images: map[string]bounded[digest.Digest]{},
	}
	for repository, held := range b.images {
		if len(held) > 0 {
			c.Images[repository] = slices.Sorted(maps.Keys(held))
		}
	}
	return c
}

// size is how many bytes of the contents a base takes, or more.
func (b *Base) size() (bytes int64) {
	for tag := range b.tags {
		bytes += int64(len(tag)) + 8
	}
	for repository, held := range b.images {
		bytes += int64(len(repository)) + int64(len(held))*fileSize
	}
	return bytes + int64(len(b.blobs))*fileSize
}

// CheckOnto reports an increment that goes on from more than what a catalog has, of
// which these are the tags: an entry.ErrConflict.
func (r *Reader) CheckOnto(tags []string) error {
	base := r.Contents.Base
	if base == nil {
		return nil
	}
	there := map[string]bool{}
	for _, tag := range tags {
		there[tag] = true
	}
	missing := slices.DeleteFunc(slices.Clone(base.Tags), func(tag string) bool { return there[tag] })
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the archive is an increment, and %d of the %d revisions of its base are not there, %s among them: its base is the backup of %s, made %s, with the contents %s",
		entry.ErrConflict, len(missing), len(base.Tags), missing[0], r.Contents.Catalog, base.Created, base.Contents)
}
