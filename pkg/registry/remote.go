package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// remoteRepository is a repository of an OCI registry.
type remoteRepository struct {
	*endpoint
	base     string     // as it was named, for messages
	maxPages int        // of one list
	left     listBudget // what one list may have at most
}

// blobAttempts bounds how often a blob is transferred whose bytes arrived
// altered or cut; the transport cannot repeat those itself, because it does
// not hold blobs in memory.
const blobAttempts = 3

// Blob implements Repository.
func (r *remoteRepository) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	operation := "fetch " + r.named(descriptor.Digest.String())
	if descriptor.Size > maxBlob {
		return nil, fmt.Errorf("%s: %w: a blob of %d bytes, more than the %d allowed", operation, entry.ErrUnreachable, descriptor.Size, maxBlob)
	}
	var blob []byte
	var err error
	for range blobAttempts {
		blob, err = r.blob(ctx, descriptor)
		var bytes *transferError
		if !errors.As(err, &bytes) || ctx.Err() != nil {
			break
		}
	}
	return blob, r.classify(ctx, operation, err)
}

// transferError is a body that is not the blob it should be.
type transferError struct{ error }

func (e *transferError) Unwrap() error { return e.error }

func (r *remoteRepository) blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	if err := descriptor.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	response, err := r.ask(ctx, question{method: http.MethodGet, path: "blobs/" + descriptor.Digest.String()}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if length := response.ContentLength; length >= 0 && length != descriptor.Size {
		return nil, &transferError{fmt.Errorf("%w: %w: a body of %d bytes, where %d are wanted", entry.ErrUnreachable, absence.ErrAltered, length, descriptor.Size)}
	}
	blob, err := content.ReadAll(response.Body, descriptor)
	if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) {
		err = fmt.Errorf("%w: %w: %w", entry.ErrUnreachable, absence.ErrAltered, err)
	}
	if err != nil {
		return nil, &transferError{err}
	}
	return blob, nil
}

func (r *remoteRepository) named(reference string) string {
	if _, err := digest.Parse(reference); err == nil {
		return r.base + "@" + reference
	}
	return r.base + ":" + reference
}
