package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// layout is an OCI image layout directory (image-spec 1.1). oras-go has one
// too, but rewrites index.json in place and assumes that nobody else does;
// here several processes may write at once, and one that is killed at any
// moment leaves either nothing or a whole manifest.
type layout struct {
	root string
	name string // of the image that is meant, or its beginning; "" is none

	mu     sync.Mutex // guards the two below
	info   fs.FileInfo
	cached *ocispec.Index // index.json as it was when info was taken; read-only
}

func newLayout(root string) *layout { return &layout{root: root} }

// Tags implements TagLister. A directory that does not exist, or is empty, is
// a layout without tags.
func (l *layout) Tags(ctx context.Context) ([]string, error) {
	index, err := l.index()
	if err != nil {
		return nil, l.failed("list tags", err)
	}
	var tags []string
	for _, d := range index.Manifests {
		if tag := d.Annotations[ocispec.AnnotationRefName]; tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags, ctx.Err()
}

// Resolve implements Fetcher.
func (l *layout) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return ocispec.Descriptor{}, l.failed("resolve "+reference, err)
	}
	if d, found, err := l.find(index, reference); found || err != nil {
		return d, l.failed("resolve "+reference, err)
	}
	// A manifest below an index is in no list, only among the blobs.
	if want, err := digest.Parse(reference); err == nil {
		if text, err := l.read(want, entry.MaxManifest); err == nil {
			var head struct {
				MediaType string `json:"mediaType"`
			}
			if json.Unmarshal(text, &head) == nil && head.MediaType != "" {
				return ocispec.Descriptor{MediaType: head.MediaType, Digest: want, Size: int64(len(text))}, nil
			}
		}
	}
	err = entry.ErrNotFound
	if len(index.Manifests) > 0 {
		err = fmt.Errorf("%w: the layout holds %s", err, names(index))
	}
	return ocispec.Descriptor{}, l.failed("resolve "+reference, err)
}

// Manifest implements Fetcher.
func (l *layout) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	descriptor, err := l.Resolve(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	manifest, err := l.read(descriptor.Digest, entry.MaxManifest)
	return descriptor, manifest, l.failed("read "+reference, err)
}

// Blob implements Fetcher.
func (l *layout) Blob(_ context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	blob, err := l.read(descriptor.Digest, MaxBlob)
	if err == nil && int64(len(blob)) != descriptor.Size {
		err = fmt.Errorf("%w: blob of %d bytes, want %d", entry.ErrUnreachable, len(blob), descriptor.Size)
	}
	return blob, l.failed("read "+descriptor.Digest.String(), err)
}

// StatBlob implements BlobStater.
func (l *layout) StatBlob(_ context.Context, descriptor ocispec.Descriptor) error {
	path, err := l.path(descriptor.Digest)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err == nil && info.Size() != descriptor.Size {
		err = wrongSize(info.Size(), descriptor.Size)
	}
	return l.failed("look for "+descriptor.Digest.String(), err)
}

// PushBlob implements Pusher.
func (l *layout) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, blob []byte) error {
	return l.failed("write "+descriptor.Digest.String(), l.change(ctx, func() error {
		return l.write(descriptor.Digest, blob)
	}))
}

// PushManifest implements Pusher.
func (l *layout) PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	listed := descriptor
	listed.Annotations = nil
	if reference != descriptor.Digest.String() {
		listed.Annotations = map[string]string{ocispec.AnnotationRefName: reference}
	}
	return l.failed("write "+reference, l.change(ctx, func() error {
		if err := l.write(descriptor.Digest, manifest); err != nil {
			return err
		}
		return l.list(listed)
	}))
}

// Referrers implements ReferrerLister: a layout has no such list, so it looks
// into every manifest that the index names.
func (l *layout) Referrers(_ context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return nil, l.failed("list referrers", err)
	}
	var found []ocispec.Descriptor
	for _, d := range index.Manifests {
		text, err := l.read(d.Digest, entry.MaxManifest)
		var manifest ocispec.Manifest
		if err != nil || json.Unmarshal(text, &manifest) != nil || manifest.Subject == nil || manifest.Subject.Digest != subject.Digest {
			continue
		}
		d.ArtifactType = manifest.ArtifactType
		found = append(found, d)
	}
	return found, nil
}

// PushReferrer implements ReferrerPusher.
func (l *layout) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, _ ocispec.Descriptor) error {
	return l.failed("attach", l.change(ctx, func() error {
		if err := l.write(descriptor.Digest, manifest); err != nil {
			return err
		}
		return l.list(descriptor)
	}))
}

// index reads index.json, or returns the copy of the last read if the file is
// still the same one. A missing layout is an empty one.
func (l *layout) index() (*ocispec.Index, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.Open(filepath.Join(l.root, ocispec.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.vacant(); err != nil {
			return nil, err
		}
		return &ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if l.cached != nil && os.SameFile(info, l.info) && info.ModTime().Equal(l.info.ModTime()) && info.Size() == l.info.Size() {
		return l.cached, nil
	}
	if err := l.marked(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxAnswer))
	if err != nil {
		return nil, err
	}
	index := new(ocispec.Index)
	if err := json.Unmarshal(text, index); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", entry.ErrUnreachable, ocispec.ImageIndexFile, err)
	}
	l.cached, l.info = index, info
	return index, nil
}

// marked reports an index.json that is not a layout's: other programs have
// files of that name too.
func (l *layout) marked() error {
	_, err := os.Stat(filepath.Join(l.root, ocispec.ImageLayoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the directory holds %s but no %s, and is not an OCI layout", entry.ErrInvalid, ocispec.ImageIndexFile, ocispec.ImageLayoutFile)
	}
	return err
}

// vacant reports a directory that holds something else than a layout.
func (l *layout) vacant() error {
	files, err := os.ReadDir(l.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		switch name := file.Name(); {
		case name == ocispec.ImageLayoutFile, name == ocispec.ImageBlobsDir, name == lockFile, strings.HasPrefix(name, tempPrefix):
		default:
			return fmt.Errorf("%w: the directory holds %q and is not an OCI layout", entry.ErrInvalid, name)
		}
	}
	return nil
}

// read returns a blob whose bytes hash to its name.
func (l *layout) read(want digest.Digest, most int64) ([]byte, error) {
	path, err := l.path(want)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	blob, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(blob)) > most {
		return nil, fmt.Errorf("%w: blob %s is longer than %d bytes", entry.ErrUnreachable, want, most)
	}
	if got := want.Algorithm().FromBytes(blob); got != want {
		return nil, fmt.Errorf("%w: blob %s is altered: its digest is %s", entry.ErrUnreachable, want, got)
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
	kind := entry.ErrUnreachable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		kind = entry.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = entry.ErrUnauthorized
	case errors.Is(err, context.DeadlineExceeded):
		kind = entry.ErrTimeout
	case errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrMalformed), errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrUnreachable), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s in oci:%s: %w", operation, l.root, err)
	}
	return fmt.Errorf("%s in oci:%s: %w: %v", operation, l.root, kind, err)
}
