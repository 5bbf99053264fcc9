package signature

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// fakeStore has one subject with some referrers, of which each manifest has the
// same layers, and no legacy signature. It counts what is read.
type fakeStore struct {
	subject   digest.Digest
	referrers int
	layers    []ocispec.Descriptor
	blob      []byte

	manifests, blobs int64 // that were read; by several goroutines at once
}

func (s *fakeStore) Referrers(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	all := make([]ocispec.Descriptor, s.referrers)
	for i := range all {
		all[i].Digest = digest.FromString("referrer")
	}
	return all, nil
}

func (s *fakeStore) Manifest(_ context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	if reference == LegacyTag(s.subject) {
		return ocispec.Descriptor{}, nil, entry.ErrNotFound
	}
	atomic.AddInt64(&s.manifests, 1)
	text, err := json.Marshal(ocispec.Manifest{Layers: s.layers, Subject: &ocispec.Descriptor{Digest: s.subject}})
	return ocispec.Descriptor{}, text, err
}

func (s *fakeStore) Blob(context.Context, ocispec.Descriptor) ([]byte, error) {
	atomic.AddInt64(&s.blobs, 1)
	return s.blob, nil
}

// Signatures are bounded in number and size, and too much is not "none".
func TestFindIsBounded(t *testing.T) {
	subject := digest.FromString("subject")
	text := []byte(`{"mediaType":"` + mediaTypeV03 + `","x":""}`)
	layer := ocispec.Descriptor{MediaType: mediaTypeV03, Digest: digest.FromBytes(text), Size: int64(len(text))}
	huge := layer
	huge.Size = maxSignature + 1
	many := make([]ocispec.Descriptor, 1000)
	for i := range many {
		many[i] = layer
	}
	for _, tt := range []struct {
		name             string
		store            fakeStore
		found            int
		incomplete       bool
		manifests, blobs int64
	}{
		{"none", fakeStore{}, 0, false, 0, 0},
		{"one", fakeStore{referrers: 1, layers: many[:1]}, 1, false, 1, 1},
		{"a huge bundle", fakeStore{referrers: 1, layers: []ocispec.Descriptor{huge}}, 0, true, 1, 0},
		{"too many referrers", fakeStore{referrers: maxReferrers + 1, layers: many[:1]}, 0, true, 0, 0},
		{"more signatures than are looked at", fakeStore{referrers: maxReferrers, layers: many[:1]}, MaxSignatures + 1, false, MaxSignatures + 1, MaxSignatures + 1},
		{"a referrer of many layers", fakeStore{referrers: 1, layers: many}, MaxSignatures + 1, false, 1, MaxSignatures + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &tt.store
			store.subject, store.blob = subject, text
			evidence := Find(t.Context(), store, subject)
			if len(evidence.Signatures) != tt.found || errors.Is(evidence.Err, entry.ErrUnreachable) != tt.incomplete || !tt.incomplete && evidence.Err != nil {
				t.Errorf("%d signatures, error %v, want %d, incomplete %t", len(evidence.Signatures), evidence.Err, tt.found, tt.incomplete)
			}
			if store.manifests != tt.manifests || store.blobs != tt.blobs {
				t.Errorf("%d manifests and %d blobs were read, want %d and %d", store.manifests, store.blobs, tt.manifests, tt.blobs)
			}
		})
	}
}

// A caller that has enough of bundles asks for no legacy signature.
func TestFindMoreStops(t *testing.T) {
	for _, enough := range []bool{true, false} {
		asked := false
		store := &askedStore{fakeStore{subject: digest.FromString("subject")}, &asked}
		FindMore(t.Context(), store, store.subject, func(Evidence) bool { return enough })
		if asked == enough {
			t.Errorf("enough %t: the legacy tag was asked for: %t", enough, asked)
		}
	}
}

// Who has read the tags asks for a legacy signature where one is listed, and where
// nothing else was found: the list may be behind.
func TestFindListed(t *testing.T) {
	subject := digest.FromString("subject")
	text := []byte(`{"mediaType":"` + mediaTypeV03 + `"}`)
	layers := []ocispec.Descriptor{{MediaType: mediaTypeV03, Digest: digest.FromBytes(text), Size: int64(len(text))}}
	lost := layers[0]
	lost.Size = maxSignature + 1
	for _, tt := range []struct {
		name   string
		store  fakeStore
		listed string
		want   bool
	}{
		{"bundles", fakeStore{referrers: 1, layers: layers}, "", false},
		{"bundles, and its tag is listed", fakeStore{referrers: 1, layers: layers}, LegacyTag(subject), true},
		{"bundles, and another tag is listed", fakeStore{referrers: 1, layers: layers}, LegacyTag(digest.FromString("other")), false},
		{"bundles, of which one cannot be read", fakeStore{referrers: 1, layers: append(layers, lost)}, "", true},
		{"nothing", fakeStore{}, "", true},
	} {
		asked := false
		tt.store.subject, tt.store.blob = subject, text
		FindListed(t.Context(), &askedStore{tt.store, &asked}, subject, func(tag string) bool { return tag == tt.listed })
		if asked != tt.want {
			t.Errorf("%s: the legacy tag was asked for: %t, want %t", tt.name, asked, tt.want)
		}
	}
}

// askedStore notes whether the legacy tag was asked for.
type askedStore struct {
	fakeStore
	legacy *bool
}

func (s *askedStore) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	*s.legacy = *s.legacy || reference == LegacyTag(s.subject)
	return s.fakeStore.Manifest(ctx, reference)
}

// What stands in a snapshot is read in the form that it says, and nothing else is.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Format
		ok         bool
	}{
		{"a bundle", `{"mediaType":"` + mediaTypeV03 + `"}`, Bundle, true},
		{"a later bundle", `{"mediaType":"` + bundleFamily + `.v9+json"}`, Bundle, true},
		{"a legacy signature", `{"mediaType":"` + mediaTypeSaved + `"}`, Legacy, true},
		{"another media type", `{"mediaType":"application/json"}`, "", false},
		{"no media type", `{}`, "", false},
		{"no JSON", `{`, "", false},
		{"too long", `{"mediaType":"` + mediaTypeV03 + `","x":"` + strings.Repeat("x", maxSignature) + `"}`, "", false},
	} {
		got, ok := Parse([]byte(tt.text))
		if ok != tt.ok || got.Format != tt.want {
			t.Errorf("%s: format %q, %t, want %q, %t", tt.name, got.Format, ok, tt.want, tt.ok)
		}
		if ok && string(got.JSON()) != tt.text {
			t.Errorf("%s: its JSON is %s, want %s", tt.name, got.JSON(), tt.text)
		}
	}
}
