package registry

import (
	"context"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Delete implements Repository: by tag where the registry takes that, else by
// digest. Only the former takes the tag away everywhere, only the latter is
// taken everywhere.
func (r *remoteRepository) Delete(ctx context.Context, tag string) error {
	err := r.delete(ctx, tag)
	if s := status(err); s == http.StatusBadRequest || s == http.StatusMethodNotAllowed {
		var descriptor ocispec.Descriptor
		if descriptor, err = r.resolve(ctx, tag); err == nil {
			err = r.delete(ctx, descriptor.Digest.String())
		}
	}
	return r.classify(ctx, "delete "+r.named(tag), err)
}

func (r *remoteRepository) delete(ctx context.Context, reference string) error {
	_, err := r.write(ctx, question{method: http.MethodDelete, path: "manifests/" + reference})
	return err
}
