package ocilog

import (
	"context"
	"errors"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// blobs is what segments are read from: a target, or a cache alone.
type blobs interface {
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
}

// cachedTarget is a target whose segments, their hashes and status layers come from a cache,
// where it has them. What is fetched or pushed of them is stored there.
type cachedTarget struct {
	Target
	cache *Cache
}

// wrap puts the cache in front of a target. The nil Cache leaves it as it is.
func (c *Cache) wrap(target Target) Target {
	if c == nil {
		return target
	}
	return cachedTarget{target, c}
}

// isCached reports whether the cache stores blobs of a media type: those that
// every process reads. The layers of revisions are none of them.
func isCached(mediaType string) bool {
	return mediaType == revision.MediaTypeSegment || mediaType == revision.MediaTypeHashes || mediaType == revision.MediaTypeStatuses
}

// Blob is that of Target.
func (t cachedTarget) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if !isCached(descriptor.MediaType) {
		return t.Target.Blob(ctx, descriptor)
	}
	if blob, ok := t.cache.blob(descriptor.Digest); ok {
		return blob, nil
	}
	blob, err := t.Target.Blob(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	t.cache.putBlob(descriptor.Digest, blob)
	return blob, nil
}

// PushBlob is that of Target.
func (t cachedTarget) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error {
	if err := t.Target.PushBlob(ctx, descriptor, content); err != nil {
		return err
	}
	if isCached(descriptor.MediaType) {
		t.cache.putBlob(descriptor.Digest, content)
	}
	return nil
}

// Date is that of the target, where it has one: embedding does not pass it on.
func (t cachedTarget) Date() time.Time { return dateOf(t.Target) }

// dateOf returns the time of a target's registry, or zero.
func dateOf(target Target) time.Time {
	if dated, ok := target.(interface{ Date() time.Time }); ok {
		return dated.Date()
	}
	return time.Time{}
}

// onlyCached reads blobs from the cache and asks nobody for the others.
type onlyCached struct{ cache *Cache }

// errNotCached is no entry.ErrNotFound: the target may well have the blob.
var errNotCached = errors.New("the blob is not in the cache")

// Blob is that of blobs.
func (o onlyCached) Blob(_ context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if blob, ok := o.cache.blob(descriptor.Digest); ok {
		return blob, nil
	}
	return nil, errNotCached
}
