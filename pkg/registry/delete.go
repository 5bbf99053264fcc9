package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Delete implements Deleter: by tag where the registry takes that, else by
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

// Delete implements Deleter. The blobs stay: other manifests may name them.
func (l *layout) Delete(ctx context.Context, tag string) error {
	return l.failed("delete "+tag, l.change(ctx, func() error { return l.unlist(tag) }))
}

// unlist takes a tag out of index.json. The caller holds the lock.
func (l *layout) unlist(tag string) error {
	old, err := l.index()
	if err != nil {
		return err
	}
	index := *old
	index.Manifests = slices.DeleteFunc(slices.Clone(old.Manifests), func(d ocispec.Descriptor) bool {
		return d.Annotations[ocispec.AnnotationRefName] == tag
	})
	if len(index.Manifests) == len(old.Manifests) {
		return fmt.Errorf("tag %s: %w", tag, entry.ErrNotFound)
	}
	return l.replaceIndex(&index)
}
