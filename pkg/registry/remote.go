package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
)

// remoteRepository is a repository of an OCI registry.
type remoteRepository struct {
	base  string // host/repository, for messages
	login *login
	dates *dates
	oras  *remote.Repository
}

// blobAttempts bounds how often a blob is transferred whose bytes arrived
// altered or cut; the transport cannot repeat those itself, because it does
// not hold blobs in memory.
const blobAttempts = 3

// Tags implements TagLister. It follows Link, and sends neither n nor last.
func (r *remoteRepository) Tags(ctx context.Context) ([]string, error) {
	operation := "list tags of " + r.base
	var tags []string
	seen, pages := map[string]bool{}, 0
	err := r.oras.Tags(ctx, "", func(page []string) error {
		fresh := false
		pages++
		for _, tag := range page {
			if !seen[tag] {
				seen[tag], fresh = true, true
				tags = append(tags, tag)
			}
		}
		if len(page) > 0 && !fresh {
			return fmt.Errorf("%w: the tag list repeats itself", entry.ErrUnreachable)
		}
		return nil
	})
	var response *errcode.ErrorResponse
	missing := errors.As(err, &response) && response.StatusCode == http.StatusNotFound && r.isAPI(response.URL)
	switch {
	case missing && pages > 0:
		return nil, fmt.Errorf("%s: %w: page %d does not exist", operation, entry.ErrUnreachable, pages+1)
	case missing && len(response.Errors) == 0:
		// A registry says in its own words that it has no such repository; a
		// page that is not found may be anybody's.
		return nil, fmt.Errorf("%s: %w: 404, and not in the words of a registry", operation, entry.ErrUnreachable)
	case missing:
		return nil, nil
	case err != nil:
		return nil, r.classify(ctx, operation, err)
	}
	return tags, nil
}

// Resolve implements Fetcher by HEAD, or by GET where the registry's HEAD does
// not name a digest.
func (r *remoteRepository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	descriptor, err := r.oras.Resolve(ctx, reference)
	var exchange *exchangeError
	var status *errcode.ErrorResponse
	answered := err != nil && !errors.As(err, &exchange) && !errors.As(err, &status) && !errors.Is(err, errdef.ErrNotFound)
	if answered && ctx.Err() == nil {
		descriptor, _, err = r.Manifest(ctx, reference)
	}
	return descriptor, r.classify(ctx, "resolve "+r.named(reference), err)
}

// Manifest implements Fetcher.
func (r *remoteRepository) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	operation := "fetch " + r.named(reference)
	descriptor, body, err := r.oras.FetchReference(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, r.classify(ctx, operation, err)
	}
	defer body.Close()
	if descriptor.Size > entry.MaxManifest {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w: a manifest of %d bytes, more than the %d allowed", operation, entry.ErrUnreachable, descriptor.Size, entry.MaxManifest)
	}
	manifest, err := content.ReadAll(body, descriptor)
	return descriptor, manifest, r.classify(ctx, operation, err)
}

// Blob implements Fetcher.
func (r *remoteRepository) Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	operation := "fetch " + r.named(descriptor.Digest.String())
	if descriptor.Size > MaxBlob {
		return nil, fmt.Errorf("%s: %w: a blob of %d bytes, more than the %d allowed", operation, entry.ErrUnreachable, descriptor.Size, MaxBlob)
	}
	var blob []byte
	var err error
	for range blobAttempts {
		blob, err = r.blob(ctx, descriptor)
		var exchange *exchangeError
		var status *errcode.ErrorResponse
		if err == nil || errors.As(err, &exchange) || errors.As(err, &status) || errors.Is(err, errdef.ErrNotFound) || ctx.Err() != nil {
			break
		}
	}
	return blob, r.classify(ctx, operation, err)
}

func (r *remoteRepository) blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	body, err := r.oras.Blobs().Fetch(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return content.ReadAll(body, descriptor)
}

// StatBlob implements BlobStater by HEAD.
func (r *remoteRepository) StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error {
	found, err := r.oras.Blobs().Resolve(ctx, descriptor.Digest.String())
	if err == nil && found.Size != descriptor.Size {
		err = wrongSize(found.Size, descriptor.Size)
	}
	return r.classify(ctx, "look for "+r.named(descriptor.Digest.String()), err)
}

func wrongSize(got, want int64) error {
	return fmt.Errorf("%w: a blob of %d bytes, where its manifest says %d", entry.ErrInvalid, got, want)
}

// PushBlob implements Pusher. The empty configuration is looked for first: it
// is nearly always there.
func (r *remoteRepository) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, blob []byte) error {
	operation := "push " + r.named(descriptor.Digest.String())
	if descriptor.Digest == ocispec.DescriptorEmptyJSON.Digest {
		if found, err := r.oras.Blobs().Exists(ctx, descriptor); err == nil && found {
			return nil
		}
	}
	var err error
	for range blobAttempts {
		err = r.oras.Blobs().Push(ctx, descriptor, bytes.NewReader(blob))
		// An upload session that a repeated request finds gone is begun anew.
		var status *errcode.ErrorResponse
		if err == nil || ctx.Err() != nil || !errors.As(err, &status) || status.StatusCode != 404 {
			break
		}
	}
	return r.classify(ctx, operation, err)
}

// PushManifest implements Pusher. A registry that does not know a blob which
// was just pushed, or was found there, may be storing it at this moment for
// another client: the manifest is sent again a little later.
func (r *remoteRepository) PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	operation := "push " + r.named(reference)
	for attempt := 0; ; attempt++ {
		err := r.oras.Manifests().PushReference(ctx, descriptor, bytes.NewReader(manifest), reference)
		if !blobUnknown(err) || attempt == blobWaits {
			return r.classify(ctx, operation, err)
		}
		if err := pause(ctx, jitter(50*time.Millisecond<<attempt)); err != nil {
			return r.classify(ctx, operation, err)
		}
	}
}

// blobWaits bounds how often a manifest is sent again because the registry
// does not know one of its blobs.
const blobWaits = 5

func blobUnknown(err error) bool {
	var response *errcode.ErrorResponse
	return errors.As(err, &response) && slices.ContainsFunc(response.Errors, func(e errcode.Error) bool {
		return e.Code == errcode.ErrorCodeManifestBlobUnknown || e.Code == errcode.ErrorCodeBlobUnknown
	})
}

func (r *remoteRepository) named(reference string) string {
	if _, err := digest.Parse(reference); err == nil {
		return r.base + "@" + reference
	}
	return r.base + ":" + reference
}
