package signature

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What cosign 3 says of a bundle on its manifest.
const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
)

// legacyAttempts bounds how often a legacy signature is written again because
// another client overwrote the tag.
const legacyAttempts = 8

// Write puts a signature beside its subject, and returns once it is found
// there. Bundles become referrers, as cosign 3 writes them; legacy signatures
// are added to those under the digest's tag, as cosign 2 does. That tag is
// overwritten by every signer: two at once can lose one, so it is read back.
// Where bundles need tags of their own, those name the catalog of
// referrertag.WithCatalog.
func Write(ctx context.Context, to registry.Repository, subject ocispec.Descriptor, signature Signature, now time.Time) error {
	if signature.Format == Legacy {
		return writeLegacy(ctx, to, subject.Digest, signature)
	}
	return writeBundle(ctx, to, subject, signature, now)
}

// Layer is the digest of the layer that Write writes for a signature; "" for one that
// it does not write.
func (s Signature) Layer() digest.Digest {
	if s.Format != Legacy {
		return digest.FromBytes(s.text)
	}
	var saved savedJSON
	if json.Unmarshal(s.text, &saved) != nil {
		return ""
	}
	return digest.FromBytes(saved.Payload)
}

func writeBundle(ctx context.Context, to registry.Repository, subject ocispec.Descriptor, signature Signature, now time.Time) error {
	layer := describe(mediaTypeV03, signature.text)
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	config.ArtifactType = mediaTypeV03
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: mediaTypeV03, Config: config, Layers: []ocispec.Descriptor{layer},
		Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{
			ocispec.AnnotationCreated: now.UTC().Format(time.RFC3339),
			annotationContent:         "dsse-envelope",
			annotationPredicate:       PredicateType,
		},
	}, json.Deterministic(true))
	if err != nil {
		return err
	}
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error {
		return to.PushBlob(within, ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	})
	group.Go(func() error { return to.PushBlob(within, layer, signature.text) })
	if err := group.Wait(); err != nil {
		return err
	}
	descriptor := describe(ocispec.MediaTypeImageManifest, manifest)
	descriptor.ArtifactType = mediaTypeV03
	return to.PushReferrer(ctx, descriptor, manifest, subject)
}

func writeLegacy(ctx context.Context, to registry.Repository, d digest.Digest, signature Signature) error {
	var saved savedJSON
	if err := json.Unmarshal(signature.text, &saved); err != nil {
		return err
	}
	layer := describe(mediaTypePayload, saved.Payload)
	layer.Annotations = saved.Annotations
	if err := to.PushBlob(ctx, layer, saved.Payload); err != nil {
		return err
	}
	for range legacyAttempts {
		layers, err := legacyLayers(ctx, to, d)
		if err != nil {
			return err
		}
		if containsLayer(layers, layer) {
			return nil
		}
		if err := pushLegacy(ctx, to, d, append(layers, layer)); err != nil {
			return err
		}
	}
	layers, err := legacyLayers(ctx, to, d)
	if err == nil && !containsLayer(layers, layer) {
		err = fmt.Errorf("%w: tag %s: written %d times and overwritten by others each time", entry.ErrUnreachable, LegacyTag(d), legacyAttempts)
	}
	return err
}

// legacyLayers returns the signatures that are under the tag already.
func legacyLayers(ctx context.Context, from registry.Repository, d digest.Digest) ([]ocispec.Descriptor, error) {
	described, text, err := from.Manifest(ctx, LegacyTag(d))
	if errors.Is(err, entry.ErrNotFound) || isHiddenAbsence(ctx, from, d, LegacyTag(d), err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil || manifest.Layers == nil {
		return nil, fmt.Errorf("%w: tag %s: it holds %s, and no image to add a signature to", entry.ErrConflict, LegacyTag(d), described.MediaType)
	}
	return manifest.Layers, nil
}

func containsLayer(layers []ocispec.Descriptor, wanted ocispec.Descriptor) bool {
	for _, layer := range layers {
		if layer.Digest == wanted.Digest && layer.Annotations[annotationSignature] == wanted.Annotations[annotationSignature] {
			return true
		}
	}
	return false
}

func pushLegacy(ctx context.Context, to registry.Repository, d digest.Digest, layers []ocispec.Descriptor) error {
	config, err := legacyConfig(layers)
	if err != nil {
		return err
	}
	described := describe(ocispec.MediaTypeImageConfig, config)
	if err := to.PushBlob(ctx, described, config); err != nil {
		return err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: described, Layers: layers,
	}, json.Deterministic(true))
	if err != nil {
		return err
	}
	return to.PushManifest(ctx, describe(ocispec.MediaTypeImageManifest, manifest), manifest, LegacyTag(d))
}

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}
