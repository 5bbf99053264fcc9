package registry

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Repository is one repository of a registry or one layout directory, safe for
// concurrent use. What it reads is bounded and checked against its digest.
type Repository interface {
	// Tags returns every tag, in no particular order. A repository that does
	// not exist has none.
	Tags(ctx context.Context) ([]string, error)

	// Resolve returns the descriptor of a tag or digest without its content.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Manifest returns the manifest or index that a tag or digest names: at
	// most 4 MiB, which hash to the descriptor's digest.
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
	// Blob returns the content of a descriptor, at most 64 MiB: a config, a
	// document or a segment, never an image layer.
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
	// OpenBlob reads the content of a descriptor, of any size, from an offset on.
	// It begins at from, which is 0 where the registry serves no ranges. Its bytes
	// are checked against nothing but the descriptor's size, and that only where
	// the registry says one: the rest is for whoever reads them, and closes it.
	OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (content io.ReadCloser, from int64, err error)
	// StatBlob reports whether a blob is there, and of the size that its
	// descriptor says. A blob of another size is an entry.ErrMalformed: the
	// manifest that names it lies.
	StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error

	// PushBlob writes a blob. Writing what is there already succeeds.
	PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error
	// CopyBlob writes a blob that another repository has, of any size, and returns
	// how many bytes were transferred: none of a blob that is there, or that the
	// registry of both repositories has taken over from the other one. Bytes that are
	// not those of the digest are an entry.ErrMalformed, and are not stored. A
	// repository that wraps another one says so by a method Unwrap() Repository.
	CopyBlob(ctx context.Context, descriptor ocispec.Descriptor, from Repository) (moved int64, err error)
	// PushManifest writes a manifest under a tag, or under its digest alone,
	// once its blobs are there.
	PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error
	// Delete deletes a tag and the manifest under it, which is under no other
	// tag. A tag that does not exist is an entry.ErrNotFound. Registries that do
	// not delete refuse it.
	Delete(ctx context.Context, tag string) error

	// Referrers lists the manifests whose subject is the given one. Where the
	// registry has no Referrers API, it reads the fallback tag; artifact type
	// and annotations in the result are then another client's word.
	Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
	// PushReferrer writes a manifest with a subject and returns once it is
	// listed among the subject's referrers. Other clients may still lose it
	// later, where the registry has no Referrers API.
	PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error
}
