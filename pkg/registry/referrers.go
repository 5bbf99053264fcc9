package registry

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// listAttempts bounds how often a referrer is written again because it does
// not show up among its subject's referrers.
const listAttempts = 8

// Referrers implements ReferrerStore.
func (r *remoteRepository) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	err := r.oras.Referrers(ctx, subject, "", func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	return all, classify(ctx, "list referrers of "+r.named(subject.Digest.String()), err)
}

// PushReferrer implements ReferrerStore. It asks for the referrers first: that
// tells whether the registry has the Referrers API, which no header does
// reliably. Without it, the list is one index that every client overwrites
// (SPEC section 9), so it is read back and written again, after a random wait,
// until the referrer is in it.
func (r *remoteRepository) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	operation := "attach to " + r.named(subject.Digest.String())
	const wait = 10 * time.Millisecond
	for attempt := 0; ; attempt++ {
		listed, err := r.Referrers(ctx, subject)
		if err != nil {
			return classify(ctx, operation, err)
		}
		if slices.ContainsFunc(listed, func(d ocispec.Descriptor) bool { return d.Digest == descriptor.Digest }) {
			return nil
		}
		if attempt == listAttempts {
			break
		}
		if attempt > 0 {
			if err := pause(ctx, jitter(wait<<attempt)); err != nil {
				return classify(ctx, operation, err)
			}
		}
		if err := r.oras.Manifests().Push(ctx, descriptor, bytes.NewReader(manifest)); err != nil {
			return classify(ctx, operation, err)
		}
	}
	return fmt.Errorf("%s: %w: written %d times and never listed among the referrers", operation, entry.ErrUnreachable, listAttempts)
}

func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
