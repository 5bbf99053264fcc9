package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/oci-catalog/caib/pkg/entry"
)

// listAttempts bounds how often a referrer is written again because it does
// not show up among its subject's referrers.
const listAttempts = 12

// Referrers implements ReferrerLister.
func (r *remoteRepository) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	err := r.oras.Referrers(ctx, subject, "", func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	return all, r.classify(ctx, "list referrers of "+r.named(subject.Digest.String()), err)
}

// settle is the least time after which a referrer in a fallback index is
// looked for again.
const settle = 100 * time.Millisecond

// PushReferrer implements ReferrerPusher. It asks for the referrers first: that
// tells whether the registry has the Referrers API, which no header does
// reliably. Without it, the list is one index that every client reads, changes
// and overwrites (SPEC section 9). A client that read it before our write may
// still overwrite it after our look, so we look once more when such a client
// must be done: after several times as long as our own turn took.
func (r *remoteRepository) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	operation := "attach to " + r.named(subject.Digest.String())
	listed, err := r.lists(ctx, subject, descriptor)
	for attempt := 0; err == nil && !listed; attempt++ {
		if attempt == listAttempts {
			return fmt.Errorf("%s: %w: written %d times and never listed among the referrers", operation, entry.ErrUnreachable, listAttempts)
		}
		begun := time.Now()
		if err := r.oras.Manifests().Push(ctx, descriptor, bytes.NewReader(manifest)); err != nil {
			return r.classify(ctx, operation, err)
		}
		turn := time.Since(begun)
		listed, err = r.lists(ctx, subject, descriptor)
		switch {
		case err != nil:
		case !listed:
			err = pause(ctx, jitter(min(settle<<attempt/4, time.Second)))
		case r.fallback():
			if err = pause(ctx, max(settle, 4*turn)+jitter(settle)); err == nil {
				listed, err = r.lists(ctx, subject, descriptor)
			}
		}
	}
	return r.classify(ctx, operation, err)
}

// lists tells whether a referrer is listed.
func (r *remoteRepository) lists(ctx context.Context, subject, referrer ocispec.Descriptor) (bool, error) {
	all, err := r.Referrers(ctx, subject)
	return slices.ContainsFunc(all, func(d ocispec.Descriptor) bool { return d.Digest == referrer.Digest }), err
}

// fallback tells whether the registry turned out to have no Referrers API: the
// capability cannot be set to what it is not.
func (r *remoteRepository) fallback() bool {
	return errors.Is(r.oras.SetReferrersCapability(true), remote.ErrReferrersCapabilityAlreadySet)
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
