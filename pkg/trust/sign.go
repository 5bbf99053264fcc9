package trust

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Sign makes a signature of a digest. reference is the repository that it
// stands in; only the legacy format notes it, for people. services witness the
// signature; nil is none, which fits keys and no keyless signer.
func Sign(ctx context.Context, signer Signer, services *Services, format Format, d digest.Digest, reference string) (Signature, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return Signature{}, fmt.Errorf("%w: sign: %q is not a SHA-256 digest", entry.ErrInvalid, shorten(d.String()))
	}
	m := &material{}
	switch format {
	case Bundle:
		m.envelope = newEnvelope(d)
		m.message = m.envelope.pae()
	case Legacy:
		payload, err := newPayload(reference, d)
		if err != nil {
			return Signature{}, err
		}
		m.message = payload
	default:
		return Signature{}, fmt.Errorf("%w: signature format %q: want %s or %s", entry.ErrInvalid, format, Bundle, Legacy)
	}
	var err error
	if m.signature, err = signer.Sign(ctx, m.message); err != nil {
		return Signature{}, fmt.Errorf("sign %s: %w", d, err)
	}
	if !signer.PublicKey().verifies(m.message, m.signature) {
		return Signature{}, fmt.Errorf("%w: sign %s: the signer's public key does not check what it signed", entry.ErrInvalid, d)
	}
	if certified, ok := signer.(interface{ leaf() []byte }); ok {
		if err := m.addPEM(string(certified.leaf())); err != nil {
			return Signature{}, err
		}
	}
	if services != nil {
		if err := services.witness(ctx, signer, m); err != nil {
			return Signature{}, fmt.Errorf("sign %s: %w", d, err)
		}
	}
	if format == Legacy {
		return m.legacy()
	}
	return m.bundle(signer.PublicKey())
}

// bundle writes a signature as a sigstore bundle.
func (m *material) bundle(key *PublicKey) (Signature, error) {
	m.envelope.Signatures = []envelopeSignature{{Sig: m.signature}}
	b := bundleJSON{MediaType: mediaTypeV03, Envelope: m.envelope}
	b.Verification.Entries = m.entries
	if len(m.certificates) > 0 {
		b.Verification.Certificate = &rawJSON{m.certificates[0].Raw}
	} else {
		b.Verification.PublicKey = &hintJSON{key.Hint()}
	}
	if len(m.timestamps) > 0 {
		b.Verification.Timestamps = &timestampsJSON{}
		for _, signed := range m.timestamps {
			b.Verification.Timestamps.RFC3161 = append(b.Verification.Timestamps.RFC3161, timestampJSON{signed})
		}
	}
	text, err := json.Marshal(b, json.Deterministic(true))
	return Signature{Bundle, text}, err
}

// legacy writes a signature as annotations.
func (m *material) legacy() (Signature, error) {
	annotations := map[string]string{annotationSignature: encode(m.signature)}
	if len(m.certificates) > 0 {
		annotations[annotationCertificate] = string(certificatePEM(m.certificates[0].Raw))
	}
	if len(m.entries) > 0 && m.entries[0].Promise != nil {
		e := m.entries[0]
		promise := promiseJSON{Signed: e.Promise.Signed}
		promise.Payload.Body, promise.Payload.Time = e.Body, int64(e.Time)
		promise.Payload.Index, promise.Payload.LogID = int64(e.Index), hex.EncodeToString(e.LogID.KeyID)
		text, err := json.Marshal(promise)
		if err != nil {
			return Signature{}, err
		}
		annotations[annotationBundle] = string(text)
	}
	if len(m.timestamps) > 0 {
		text, err := json.Marshal(legacyTimestampJSON{m.timestamps[0]})
		if err != nil {
			return Signature{}, err
		}
		annotations[annotationTimestamp] = string(text)
	}
	return newLegacy(m.message, annotations)
}

// Signed tells whether a signer has signed a digest before, in a format: whether
// its key checks one of the signatures there. A keyless signer has a new key
// each time, and never has; what certificates say is not believed here. Only
// signatures of the format are looked for. It is for who is going to write one:
// where the registry will not say whether there are any, there are none, and
// writing shows what it lets happen.
func Signed(ctx context.Context, store Store, d digest.Digest, format Format, signer Signer) (bool, error) {
	f := &finder{store: store, subject: d, writing: true}
	look := f.bundles
	if format == Legacy {
		look = f.legacy
	}
	err := look(ctx)
	for _, signature := range f.found {
		m, failed := signature.open(d)
		if failed == nil && signature.Format == format && signer.PublicKey().verifies(m.message, m.signature) {
			return true, nil
		}
	}
	return false, err
}

// IsKeyless tells whether a signer has a certificate instead of a lasting key.
func IsKeyless(signer Signer) bool {
	_, certified := signer.(interface{ leaf() []byte })
	return certified
}

// Describe says in a few words who signs.
func Describe(signer Signer) string {
	if k, ok := signer.(*keyless); ok {
		return "identity " + printable(k.subject)
	}
	return signer.PublicKey().String()
}
