package signature

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Store reads the signatures that a repository has. A tag, manifest or
// blob that does not exist is an entry.ErrNotFound; every other error means
// that nothing is known.
type Store interface {
	manifestReader
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
	Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

// Evidence is what was found of the signatures of one digest. It is complete
// only if Err is nil; otherwise there may be more.
type Evidence struct {
	Signatures []Signature
	Missing    int // signatures that are listed, and that the registry does not have
	Err        error
}

type manifestReader interface {
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
}

// Find looks up the signatures of a digest in its repository, in both formats.
// What could not be looked up is in the evidence as its error, so that it is
// never taken for absent.
func Find(ctx context.Context, store Store, d digest.Digest) Evidence {
	f := &finder{store: store, subject: d}
	return f.evidence(f.bundles(ctx), f.legacy(ctx))
}

// FindMore is Find for a caller that can stop: enough is asked after each
// format whether the signatures found so far will do.
func FindMore(ctx context.Context, store Store, d digest.Digest, enough func(Evidence) bool) Evidence {
	f := &finder{store: store, subject: d}
	err := f.bundles(ctx)
	if evidence := f.evidence(err); enough(evidence) {
		return evidence
	}
	return f.evidence(err, f.legacy(ctx))
}

// FindListed is Find for a caller that has read the tags of the repository: where there
// are bundles, the digest's own tag is asked for only if it was listed. That is no
// evidence against a signature, which a list that is behind may hide.
func FindListed(ctx context.Context, store Store, d digest.Digest, isListed func(tag string) bool) Evidence {
	return FindMore(ctx, store, d, func(evidence Evidence) bool {
		return evidence.Err == nil && len(evidence.Signatures) > 0 && !isListed(LegacyTag(d))
	})
}

// Signed reports whether a digest has a signature, in a format, by a key: the one
// that is about to sign. What certificates say is not
// believed here. Only signatures of the format are looked for. It is for who is
// going to write one: where the registry will not say whether there are any,
// there are none, and writing shows what it lets happen.
func Signed(ctx context.Context, store registry.Repository, d digest.Digest, format Format, key crypto.PublicKey) (bool, error) {
	f := &finder{store: store, subject: d, writer: store}
	find := f.bundles
	if format == Legacy {
		find = f.legacy
	}
	err := find(ctx)
	for _, signature := range f.found {
		content, failed := signature.Open(d)
		if failed == nil && signature.Format == format && Verifies(key, content.Message, content.Signature) {
			return true, nil
		}
	}
	return false, err
}

func (f *finder) evidence(faults ...error) Evidence {
	return Evidence{Signatures: f.found, Missing: f.missing, Err: errors.Join(faults...)}
}

type finder struct {
	store   Store
	subject digest.Digest
	writer  registry.Repository // for somebody who is about to add a signature; nil for a reader
	found   []Signature
	missing int
}

// bundles reads the referrers that hold sigstore bundles. What the list says
// of a referrer is its writer's word: only its manifest tells.
func (f *finder) bundles(ctx context.Context) error {
	referrers, err := f.store.Referrers(ctx, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: f.subject})
	if f.writer != nil && (errors.Is(err, absence.ErrNoReferrersAPI) || isHiddenAbsence(ctx, f.writer, f.subject, referrertag.Index(f.subject), err)) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(referrers) > maxReferrers {
		return fmt.Errorf("%w: %s has %d referrers, more than the %d that are read", entry.ErrUnreachable, f.subject, len(referrers), maxReferrers)
	}
	var faults error
	for len(referrers) > 0 && len(f.found) <= MaxSignatures {
		some := referrers[:min(len(referrers), referrersAtOnce, MaxSignatures+1-len(f.found))]
		referrers = referrers[len(some):]
		read := make([]readReferrer, len(some))
		var reading sync.WaitGroup
		for i, referrer := range some {
			reading.Go(func() { read[i] = f.referrer(ctx, referrer) })
		}
		reading.Wait()
		for _, r := range read {
			f.found, f.missing, faults = append(f.found, r.found...), f.missing+r.missing, errors.Join(faults, r.err)
		}
	}
	return faults
}

// referrersAtOnce is how many referrers are read beside each other.
const referrersAtOnce = 16

// readReferrer is what one referrer holds.
type readReferrer struct {
	found   []Signature
	missing int
	err     error
}

// referrer reads the bundles of one referrer. One that is listed and not there is
// no signature: a client that lost a race in the fallback index leaves such.
func (f *finder) referrer(ctx context.Context, listed ocispec.Descriptor) (read readReferrer) {
	_, text, err := f.store.Manifest(ctx, listed.Digest.String())
	if errors.Is(err, entry.ErrNotFound) {
		read.missing++
		return read
	}
	if err != nil {
		read.err = err
		return read
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil || manifest.Subject == nil || manifest.Subject.Digest != f.subject {
		return read
	}
	for _, layer := range manifest.Layers {
		if !isBundleType(layer.MediaType) {
			continue
		}
		if predicate := manifest.Annotations[annotationPredicate]; layer.Size > maxSignature && predicate != "" && predicate != PredicateType {
			continue // an attestation, and a large one
		}
		bundle, err := f.blob(ctx, layer)
		if err != nil {
			read.err = err
			return read
		}
		if signature, ok := Parse(bundle); ok && signature.Format == Bundle {
			read.found = append(read.found, signature)
		} else {
			read.found = append(read.found, New(Bundle, []byte("{}"))) // counts as one that does not check
		}
		if len(read.found) > MaxSignatures {
			break
		}
	}
	return read
}

// legacy reads the signatures under the digest's own tag.
func (f *finder) legacy(ctx context.Context) error {
	_, text, err := f.store.Manifest(ctx, LegacyTag(f.subject))
	if errors.Is(err, entry.ErrNotFound) || f.writer != nil && isHiddenAbsence(ctx, f.writer, f.subject, LegacyTag(f.subject), err) {
		return nil
	}
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fmt.Errorf("%w: %s is no image: %v", entry.ErrUnreachable, LegacyTag(f.subject), err)
	}
	var faults []error // each of one signature: others may be behind it
	for _, layer := range manifest.Layers {
		if layer.MediaType != mediaTypePayload {
			continue
		}
		if signature, err := f.legacyLayer(ctx, layer); err != nil {
			faults = append(faults, err)
		} else {
			f.found = append(f.found, signature)
		}
		if len(f.found)+len(faults) > MaxSignatures {
			break
		}
	}
	return errors.Join(faults...)
}

func (f *finder) legacyLayer(ctx context.Context, layer ocispec.Descriptor) (Signature, error) {
	payload, err := f.blob(ctx, layer)
	if err != nil {
		return Signature{}, err
	}
	signature, err := newLegacy(payload, layer.Annotations)
	if err != nil {
		err = fmt.Errorf("%w: %s: %v", entry.ErrUnreachable, LegacyTag(f.subject), err)
	}
	return signature, err
}

// isHiddenAbsence reports whether a refusal to show a tag beside a subject means
// that there is none: some registries answer 403 for a tag that does not exist.
func isHiddenAbsence(ctx context.Context, from registry.Repository, subject digest.Digest, tag string, err error) bool {
	return errors.Is(err, absence.ErrHidden) && absence.IsAbsentBeside(ctx, from, subject, tag)
}

// blob reads a layer, whose bytes may be in its descriptor.
func (f *finder) blob(ctx context.Context, layer ocispec.Descriptor) ([]byte, error) {
	if layer.Size > maxSignature || layer.Size < 0 {
		return nil, fmt.Errorf("%w: a signature of %d bytes, more than the %d allowed", entry.ErrUnreachable, layer.Size, maxSignature)
	}
	if layer.Digest.Validate() == nil && len(layer.Data) > 0 && layer.Digest == layer.Digest.Algorithm().FromBytes(layer.Data) {
		return layer.Data, nil
	}
	content, err := f.store.Blob(ctx, ocispec.Descriptor{MediaType: layer.MediaType, Digest: layer.Digest, Size: layer.Size})
	if errors.Is(err, entry.ErrNotFound) {
		// The manifest is there and the blob is not: the registry lost it.
		return nil, fmt.Errorf("%w: %v", entry.ErrUnreachable, err.Error())
	}
	return content, err
}
