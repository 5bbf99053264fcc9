package ocilog

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Target is the repository that a log is in. What it returns was checked against
// its digest. A tag or blob that does not exist is an entry.ErrNotFound; every
// other error means that nothing is known. A target may have a method
// Date() time.Time besides: what time its registry says it is, or zero.
type Target interface {
	// Tags lists all tags, in any order.
	Tags(ctx context.Context) ([]string, error)
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
	// PushBlob and PushManifest succeed where the content is there already.
	PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error
	PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, tag string) error
	// Delete deletes a tag with the manifest under it. Many registries refuse.
	Delete(ctx context.Context, tag string) error
}
