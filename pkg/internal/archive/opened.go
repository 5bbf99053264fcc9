package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

var _ registry.Repository = (*Reader)(nil)

// Tags implements registry.Repository.
func (r *Reader) Tags(context.Context) ([]string, error) {
	tags := make([]string, 0, len(r.tags))
	for tag := range r.tags {
		tags = append(tags, tag)
	}
	return tags, nil
}

// Resolve implements registry.Repository.
func (r *Reader) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	d, tagged := r.tags[reference]
	if !tagged {
		d = digest.Digest(reference)
	}
	descriptor, there := r.manifests[d]
	if !there {
		return ocispec.Descriptor{}, r.missing(d)
	}
	return descriptor, nil
}

// missing is the error of what is not in the archive.
func (r *Reader) missing(d digest.Digest) error {
	if r.Contents.Base != nil {
		return fmt.Errorf("%s in the archive, which is an increment, and its base may have it: %w", d, entry.ErrNotFound)
	}
	return fmt.Errorf("%s in the archive: %w", d, entry.ErrNotFound)
}

// Manifest implements registry.Repository.
func (r *Reader) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	descriptor, err := r.Resolve(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	manifest, err := r.Blob(ctx, descriptor)
	return descriptor, manifest, err
}

// Blob implements registry.Repository.
func (r *Reader) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if descriptor.Size > maxBlob {
		return nil, fmt.Errorf("%w: blob %s is longer than %d bytes", entry.ErrMalformed, descriptor.Digest, maxBlob)
	}
	from, _, err := r.OpenBlob(ctx, descriptor, 0)
	if err != nil {
		return nil, err
	}
	content := make([]byte, descriptor.Size)
	if _, err := io.ReadFull(from, content); err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", entry.ErrUnreachable, descriptor.Digest, err)
	}
	if descriptor.Digest.Algorithm().FromBytes(content) != descriptor.Digest {
		return nil, altered("%s since it was checked", descriptor.Digest)
	}
	return content, nil
}

// OpenBlob implements registry.Repository.
func (r *Reader) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	if err := checkOffset(descriptor, offset); err != nil {
		return nil, 0, err
	}
	if err := r.StatBlob(ctx, descriptor); err != nil {
		return nil, 0, err
	}
	at := r.blobs[descriptor.Digest]
	return io.NopCloser(&interruptible{ctx, io.NewSectionReader(r.at, at.offset+offset, at.size-offset)}), offset, nil
}

// StatBlob implements registry.Repository.
func (r *Reader) StatBlob(_ context.Context, descriptor ocispec.Descriptor) error {
	at, there := r.blobs[descriptor.Digest]
	switch {
	case !there:
		return r.missing(descriptor.Digest)
	case at.size != descriptor.Size:
		return wrongSize(at.size, descriptor.Size)
	}
	return nil
}

// Referrers implements registry.Repository. Artifact types and annotations are those
// of the manifests.
func (r *Reader) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, d := range r.subjects[subject.Digest] {
		descriptor, manifest, err := r.Manifest(ctx, d.String())
		if err != nil {
			return nil, err
		}
		h := readHead(manifest)
		descriptor.ArtifactType, descriptor.Annotations = h.ArtifactType, h.Annotations
		found = append(found, descriptor)
	}
	return found, nil
}

var errReadOnly = fmt.Errorf("%w: an archive is written once, and takes nothing more", entry.ErrInvalid)

// PushBlob implements registry.Repository: it refuses.
func (r *Reader) PushBlob(context.Context, ocispec.Descriptor, []byte) error { return errReadOnly }

// CopyBlob refuses, as PushBlob does.
func (r *Reader) CopyBlob(context.Context, ocispec.Descriptor, registry.Repository) (int64, error) {
	return 0, errReadOnly
}

// PushManifest implements registry.Repository: it refuses.
func (r *Reader) PushManifest(context.Context, ocispec.Descriptor, []byte, string) error {
	return errReadOnly
}

// PushReferrer implements registry.Repository: it refuses.
func (r *Reader) PushReferrer(context.Context, ocispec.Descriptor, []byte, ocispec.Descriptor) error {
	return errReadOnly
}

// Delete implements registry.Repository: it refuses.
func (r *Reader) Delete(context.Context, string) error { return errReadOnly }

// ExpectPush does nothing.
func (r *Reader) ExpectPush() {}

// CanPush says that nothing can be written.
func (r *Reader) CanPush(context.Context) error { return errReadOnly }
