package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// OpenBlob implements Repository. Each call asks the registry, which may redirect
// to a storage by an address that expires: no such address is asked twice.
func (r *remoteRepository) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	operation := "fetch " + r.named(descriptor.Digest.String())
	body, from, err := r.openBlob(ctx, descriptor, offset)
	if err != nil {
		return nil, 0, r.classify(ctx, operation, err)
	}
	return &blobBody{body, func(err error) error { return r.classify(ctx, operation, err) }}, from, nil
}

// blobBody gives the errors of a body their kind.
type blobBody struct {
	io.ReadCloser
	classify func(error) error
}

func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.classify(err)
	}
	return n, err
}

func (e *endpoint) openBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	if err := checkOffset(descriptor, offset); err != nil {
		return nil, 0, err
	}
	part := ""
	if offset > 0 {
		part = fmt.Sprintf("bytes=%d-", offset)
	}
	response, err := e.getBlob(ctx, descriptor.Digest, part)
	if err != nil && offset > 0 && mayBeRange(err) && status(err) != http.StatusUnauthorized && status(err) != http.StatusForbidden {
		return e.openBlob(ctx, descriptor, 0)
	}
	if err != nil {
		return nil, 0, err
	}
	from, err := beginning(response, descriptor, offset)
	if err != nil {
		response.Body.Close()
		return nil, 0, err
	}
	return response.Body, from, nil
}

func checkOffset(descriptor ocispec.Descriptor, offset int64) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	if offset < 0 || offset > descriptor.Size {
		return fmt.Errorf("%w: offset %d in a blob of %d bytes", entry.ErrInvalid, offset, descriptor.Size)
	}
	return nil
}

// beginning is where in a blob the body of an answer begins. An answer about
// another blob is an entry.ErrMalformed.
func beginning(response *http.Response, descriptor ocispec.Descriptor, offset int64) (int64, error) {
	if encoding := strings.ToLower(response.Header.Get("Content-Encoding")); encoding != "" && encoding != "identity" {
		return 0, fmt.Errorf("%w: the blob comes in the encoding %q, which nobody asked for", entry.ErrUnreachable, encoding)
	}
	if size := saidSize(response); size >= 0 && size != descriptor.Size {
		if response.StatusCode == http.StatusOK && isAnotherObject(response, descriptor.Digest) {
			return 0, fmt.Errorf("%w: the answer is JSON, and not the blob", entry.ErrUnreachable)
		}
		return 0, wrongSize(size, descriptor.Size)
	}
	if response.StatusCode == http.StatusOK {
		return 0, nil
	}
	text, unit := strings.CutPrefix(response.Header.Get("Content-Range"), "bytes ")
	first, _, _ := strings.Cut(strings.TrimSpace(text), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if !unit || err != nil || from != offset {
		return 0, fmt.Errorf("%w: the registry was asked for bytes from %d, and answers with %q", entry.ErrUnreachable, offset, printable(response.Header.Get("Content-Range")))
	}
	return from, nil
}

// OpenBlob implements Repository.
func (l *layout) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	operation := "read " + descriptor.Digest.String()
	if err := checkOffset(descriptor, offset); err != nil {
		return nil, 0, l.failed(operation, err)
	}
	path, err := l.path(descriptor.Digest)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, 0, l.failed(operation, err)
	}
	file, info, err := openRegular(path, 0)
	if err != nil {
		return nil, 0, l.failed(operation, err)
	}
	if info.Size() != descriptor.Size {
		err = wrongSize(info.Size(), descriptor.Size)
	} else {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, 0, l.failed(operation, err)
	}
	return &blobBody{file, func(err error) error { return l.failed(operation, err) }}, offset, nil
}
