package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
)

// CopyBlob implements Repository. A file of the right size counts as the blob. The
// layout is not locked while bytes come: the file has its name once it is right.
func (l *layout) CopyBlob(ctx context.Context, descriptor ocispec.Descriptor, from Repository) (int64, error) {
	operation := "copy " + descriptor.Digest.String()
	if err := checkOffset(descriptor, 0); err != nil {
		return 0, l.failed(operation, err)
	}
	path, err := l.path(descriptor.Digest)
	if err != nil {
		return 0, l.failed(operation, err)
	}
	if info, err := statRegular(path); err == nil && info.Size() == descriptor.Size {
		return 0, nil
	}
	var shared sharing
	err = l.change(ctx, func(s sharing) error {
		shared = s
		return s.makeDirectory(filepath.Dir(path))
	})
	for err == nil {
		err = atomicfile.ReplaceBy(path, atomicfile.Options{Prepare: shared.giveFile}, func(w io.Writer) error {
			return fetchTo(ctx, from, descriptor, w)
		})
		var source *sourceError
		switch {
		case err == nil:
			return descriptor.Size, nil
		case !errors.As(err, &source):
		case rejected(ctx, from, descriptor.Digest, source.error):
			err = nil
		default:
			return 0, fmt.Errorf("%s to oci:%s: %w", operation, l.root, source.error)
		}
	}
	return 0, l.failed(operation, err)
}

// fetchTo writes a blob of another repository, and tells its errors from those of the
// writer.
func fetchTo(ctx context.Context, from Repository, descriptor ocispec.Descriptor, w io.Writer) error {
	to := &noting{Writer: w}
	err := fetch.Blob(ctx, from, descriptor, to, fetch.Options{})
	if err != nil && to.err == nil {
		return &sourceError{err}
	}
	return err
}

// noting is a writer that remembers that it failed.
type noting struct {
	io.Writer
	err error
}

func (n *noting) Write(p []byte) (int, error) {
	written, err := n.Writer.Write(p)
	if err != nil {
		n.err = err
	}
	return written, err
}
