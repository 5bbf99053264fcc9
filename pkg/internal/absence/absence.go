// Package absence finds out that something is not in a repository, where the
// registry's first answer is not enough to believe it.
package absence

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What an error of package registry may wrap, beside its kind.
var (
	// ErrHidden: the registry refused, as some do for what does not exist. To
	// somebody who knows from elsewhere that the registry lets this account in,
	// it may mean absence.
	ErrHidden = errors.New("perhaps absent")
	// ErrNoReferrersAPI: a list of referrers was refused in a way that tells
	// somebody who is about to write that there is no Referrers API, and
	// nothing in its place.
	ErrNoReferrersAPI = errors.New("no Referrers API")
	// ErrAltered: what came as a manifest is none, or not the one of its digest.
	ErrAltered = errors.New("altered")
)

// Reader resolves and reads manifests, as a registry.Repository does.
type Reader interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
}

// Confirm resolves a reference, for callers to whom it matters that something is
// not there: what HEAD calls absent is asked for once more by GET.
func Confirm(ctx context.Context, from Reader, reference string) (ocispec.Descriptor, error) {
	descriptor, err := from.Resolve(ctx, reference)
	if !errors.Is(err, entry.ErrNotFound) {
		return descriptor, err
	}
	found, _, again := from.Manifest(ctx, reference)
	if errors.Is(again, entry.ErrNotFound) {
		return descriptor, err // in the words of the first question
	}
	return found, again
}

// Lister resolves manifests and lists tags, as a registry.Repository does.
type Lister interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Tags(ctx context.Context) ([]string, error)
}

// IsAbsentBeside reports whether a tag beside a subject, which a registry refused
// to show, does not exist. Whoever may read the subject may read the tags beside
// it; one that is listed does exist, and what it holds must not be overwritten.
// It is false where that cannot be found out.
func IsAbsentBeside(ctx context.Context, from Lister, subject digest.Digest, tag string) bool {
	if _, err := from.Resolve(ctx, subject.String()); err != nil {
		return false
	}
	tags, err := from.Tags(ctx)
	return err == nil && !slices.Contains(tags, tag)
}
