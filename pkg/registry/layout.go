package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// layout is an OCI image layout directory (image-spec 1.1). oras-go has one
// too, but rewrites index.json in place and assumes that nobody else does;
// here several processes may write at once, and one that is killed at any
// moment leaves either nothing or a whole manifest.
type layout struct {
	root   string
	name   string // of the image that is meant, or its beginning; "" is none
	bounds layoutBounds

	changing chan struct{} // full while somebody changes the layout

	cached chan struct{} // full while somebody uses the two below
	cache  indexCache
	parsed int64 // bytes of index.json that were parsed so far

	scanning chan struct{} // full while somebody looks for referrers
	subjects subjects
}

func newLayout(root string) *layout {
	return &layout{
		root: root, bounds: defaultBounds(), changing: make(chan struct{}, 1),
		cached: make(chan struct{}, 1), cache: indexCache{seed: maphash.MakeSeed()},
		scanning: make(chan struct{}, 1), subjects: newSubjects(),
	}
}

// Tags implements Repository. A directory that does not exist, or is empty, is
// a layout without tags.
func (l *layout) Tags(ctx context.Context) ([]string, error) {
	var tags []string
	err := l.withIndex(ctx, func(index *layoutIndex) { tags = index.tagNames() })
	return tags, l.failed("list tags", err)
}

// withIndex calls use with index.json as it is now.
func (l *layout) withIndex(ctx context.Context, use func(*layoutIndex)) error {
	release, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	index, err := l.index(ctx, false)
	if err == nil {
		use(index)
	}
	return err
}

// Resolve implements Repository.
func (l *layout) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	var found listing
	var ok bool
	var fault error
	var others string // that the layout holds
	err := l.withIndex(ctx, func(index *layoutIndex) {
		if found, ok, fault = l.find(index, reference); !ok && index.count > 0 {
			others = index.names()
		}
	})
	if err = cmp.Or(err, fault); err != nil {
		return ocispec.Descriptor{}, l.failed("resolve "+reference, err)
	}
	if ok {
		descriptor, err := l.listed(found)
		return descriptor, l.failed("resolve "+reference, err)
	}
	descriptor, err := l.unlisted(reference)
	if errors.Is(err, entry.ErrNotFound) && others != "" {
		err = fmt.Errorf("%w: the layout holds %s", err, others)
	}
	return descriptor, l.failed("resolve "+reference, err)
}

// listed is the descriptor of a listed manifest. Its size is that of the file:
// what index.json says of it nobody has checked.
func (l *layout) listed(found listing) (ocispec.Descriptor, error) {
	descriptor, err := found.descriptor()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	path, err := l.path(descriptor.Digest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if info, err := statRegular(path); err == nil { // else reading it says what is wrong
		descriptor.Size = info.Size()
	}
	return descriptor, nil
}

// unlisted resolves the digest of a manifest below an index, which is in no
// list, only among the blobs.
func (l *layout) unlisted(reference string) (ocispec.Descriptor, error) {
	want, err := digest.Parse(reference)
	if err != nil {
		return ocispec.Descriptor{}, entry.ErrNotFound
	}
	path, err := l.path(want)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var text []byte
	info, err := statRegular(path)
	if err == nil && info.Size() <= l.bounds.manifest {
		text, err = l.read(want, l.bounds.manifest)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	mediaType, err := manifestType(nil, text, false)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%w: it is a blob, not a manifest", entry.ErrNotFound)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: want, Size: int64(len(text))}, nil
}

// Manifest implements Repository.
func (l *layout) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	descriptor, err := l.Resolve(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	manifest, err := l.read(descriptor.Digest, l.bounds.manifest)
	if err == nil && isDigest(reference) && descriptor.Digest.String() != reference {
		err = fmt.Errorf("%w: what was read has the digest %s", entry.ErrUnreachable, descriptor.Digest)
	}
	if err != nil {
		return ocispec.Descriptor{}, nil, l.failed("read "+reference, err)
	}
	descriptor.Size = int64(len(manifest))
	return descriptor, manifest, nil
}

// Blob implements Repository.
func (l *layout) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	blob, err := []byte(nil), ctx.Err()
	if err == nil {
		blob, err = l.read(descriptor.Digest, l.bounds.blob)
	}
	if err == nil && int64(len(blob)) != descriptor.Size {
		err = fmt.Errorf("%w: blob of %d bytes, want %d", entry.ErrUnreachable, len(blob), descriptor.Size)
	}
	return blob, l.failed("read "+descriptor.Digest.String(), err)
}

// StatBlob implements Repository.
func (l *layout) StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error {
	path, err := l.path(descriptor.Digest)
	if err == nil {
		err = ctx.Err()
	}
	var info fs.FileInfo
	if err == nil {
		info, err = statRegular(path)
	}
	if err == nil && info.Size() != descriptor.Size {
		err = wrongSize(info.Size(), descriptor.Size)
	}
	return l.failed("look for "+descriptor.Digest.String(), err)
}

// read returns a blob whose bytes hash to its name.
func (l *layout) read(want digest.Digest, most int64) ([]byte, error) {
	path, err := l.path(want)
	if err != nil {
		return nil, err
	}
	file, info, err := openRegular(path, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info.Size() > most {
		return nil, fmt.Errorf("%w: blob %s is longer than %d bytes", entry.ErrMalformed, want, most)
	}
	blob := make([]byte, info.Size())
	n, err := io.ReadFull(file, blob)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	blob = blob[:n]
	if got := want.Algorithm().FromBytes(blob); got != want {
		return nil, fmt.Errorf("%w: blob %s is %w: its digest is %s", entry.ErrUnreachable, want, absence.ErrAltered, got)
	}
	return blob, nil
}

func (l *layout) path(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, d, err)
	}
	return filepath.Join(l.root, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), nil
}

// failed names the operation and the layout, and gives file errors their kind.
func (l *layout) failed(operation string, err error) error {
	if err == nil {
		return nil
	}
	var kind error
	switch {
	case errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrMalformed), errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrUnreachable), errors.Is(err, context.Canceled):
	case errors.Is(err, fs.ErrNotExist):
		kind = entry.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = entry.ErrUnauthorized
	case errors.Is(err, context.DeadlineExceeded):
		kind = entry.ErrTimeout
	default:
		kind = entry.ErrUnreachable
	}
	if kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	failed := &Error{Layout: l.root, Err: fmt.Errorf("%s in oci:%s: %w", operation, l.root, err)}
	var ambiguous *ambiguousError
	if errors.As(err, &ambiguous) {
		failed.Names = ambiguous.names
	}
	return failed
}
