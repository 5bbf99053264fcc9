package registry

import (
	"context"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// Dangling returns the manifests that the fallback index of a subject lists, and that
// the registry does not have; nothing where there is a Referrers API.
func (r *remoteRepository) Dangling(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	gone, err := r.dangling(ctx, subject)
	return gone, r.classify(ctx, "list referrers of "+r.named(subject.Digest.String()), err)
}

func (r *remoteRepository) dangling(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	list, err := r.listReferrers(ctx, subject)
	if err != nil || !list.fallback {
		return nil, err
	}
	there, err := r.existing(ctx, list.descriptors)
	if err != nil {
		return nil, err
	}
	return without(list.descriptors, there), nil
}

// without returns the descriptors whose digests are not among others.
func without(all, others []ocispec.Descriptor) []ocispec.Descriptor {
	return slices.DeleteFunc(slices.Clone(all), func(d ocispec.Descriptor) bool {
		return lists(referrerList{descriptors: others}, d)
	})
}

// DropDangling takes out of the fallback index of a subject what the registry does not
// have. Other clients overwrite the index: what they add between our look and our
// write would be lost, so it is read once more just before, and looked at afterwards.
func (r *remoteRepository) DropDangling(ctx context.Context, subject ocispec.Descriptor) error {
	return r.classify(ctx, "list referrers of "+r.named(subject.Digest.String()), r.dropDangling(ctx, subject))
}

func (r *remoteRepository) dropDangling(ctx context.Context, subject ocispec.Descriptor) error {
	unlock, err := r.indexes.Lock(ctx, subject.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	for attempt := range listAttempts {
		gone, err := r.dangling(ctx, subject)
		if err != nil || len(gone) == 0 {
			return err
		}
		if attempt > 0 {
			if err := pause.For(ctx, jitter(settle)); err != nil {
				return err
			}
		}
		now, err := r.fallbackIndex(ctx, subject)
		if err != nil {
			return err
		}
		kept := slices.Grow([]ocispec.Descriptor{}, len(now)) // an empty list is one
		if err := r.putFallback(ctx, subject, append(kept, without(now, gone)...), r.pushManifest); err != nil {
			return err
		}
	}
	return errStillDangling
}

var errStillDangling = fmt.Errorf("%w: other clients list again and again what the registry does not have", entry.ErrUnreachable)
