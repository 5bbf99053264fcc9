package catalog

import (
	"context"
	"errors"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// endlessStore has any number of referrers that prove nothing.
type endlessStore struct{ asked int }

func (s *endlessStore) Manifest(context.Context, string) (ocispec.Descriptor, []byte, error) {
	s.asked++
	return ocispec.Descriptor{}, []byte("{}"), nil
}

func (s *endlessStore) Blob(context.Context, ocispec.Descriptor) ([]byte, error) {
	s.asked++
	return nil, nil
}

func (s *endlessStore) Referrers(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	s.asked++
	return nil, nil
}

// What is attached to strangers' revisions, and proves nothing, takes no more requests
// than the bounds of a command allow, from all stores together; what proves something
// takes none of them.
func TestEvidenceIsBounded(t *testing.T) {
	endless, b := &endlessStore{}, &bounds{}
	ctx := context.WithValue(t.Context(), boundsKey{}, b)
	ask := func(store *boundedStore) error {
		_, _, manifest := store.Manifest(ctx, "")
		_, blob := store.Blob(ctx, ocispec.Descriptor{})
		_, referrers := store.Referrers(ctx, ocispec.Descriptor{})
		return errors.Join(manifest, blob, referrers)
	}
	for range maxEvidence {
		store := bound(ctx, endless)
		if err := ask(store); err != nil {
			t.Fatalf("what is given back runs out: %v", err)
		}
		store.giveBack()
	}
	endless.asked = 0
	var err error
	for range maxEvidence {
		err = ask(bound(ctx, endless))
	}
	if !errors.Is(err, entry.ErrUnreachable) || endless.asked != maxEvidence || !b.isSpent() {
		t.Errorf("%d requests, spent %t, %v; want %d, and then unreachable", endless.asked, b.isSpent(), err, maxEvidence)
	}
	if err := ask(bound(t.Context(), endless)); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}
