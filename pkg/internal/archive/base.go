package archive

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Base is what an increment goes on from: an archive, with all that it goes on from
// itself.
type Base struct {
	Catalog string // that the archive is of

	digest digest.Digest // of its contents
	tags   map[string]bool
	blobs  map[digest.Digest]bool
}

// Base returns the archive as what an increment goes on from. It needs the archive no
// longer.
func (r *Reader) Base() *Base {
	b := &Base{Catalog: r.Contents.Catalog, digest: r.digest, tags: map[string]bool{}, blobs: map[digest.Digest]bool{}}
	for _, file := range r.Contents.Blobs {
		b.blobs[file.Digest] = true
	}
	for tag := range r.tags {
		if _, ok := revision.ParseTag(tag); ok {
			b.tags[tag] = true
		}
	}
	if further := r.Contents.Base; further != nil {
		for _, tag := range further.Tags {
			b.tags[tag] = true
		}
		for _, d := range further.Blobs {
			b.blobs[d] = true
		}
	}
	return b
}

// Has reports whether the base holds a blob.
func (b *Base) Has(d digest.Digest) bool { return b.blobs[d] }

func (b *Base) hasTag(tag string) bool { return b.tags[tag] }

func (b *Base) contents() *BaseContents {
	return &BaseContents{Contents: b.digest, Tags: slices.Sorted(maps.Keys(b.tags)), Blobs: slices.Sorted(maps.Keys(b.blobs))}
}

// size is how many bytes of the contents a base takes, or more.
func (b *Base) size() (bytes int64) {
	for tag := range b.tags {
		bytes += int64(len(tag)) + 8
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
	return fmt.Errorf("%w: the archive is an increment, and %d of the %d revisions of its base are not there, %s among them: restore the base first", entry.ErrConflict, len(missing), len(base.Tags), missing[0])
}
