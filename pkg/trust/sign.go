package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"

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
		var err error
		if m.certificates, err = parseCertificates(string(certified.leaf())); err != nil {
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
	return newSignature(Bundle, text), err
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

// material is a signature, taken apart.
type material struct {
	message      []byte // what the signature covers
	signature    []byte
	hint         string              // which key made it, as its maker says
	certificates []*x509.Certificate // leaf first
	entries      []logEntry
	timestamps   [][]byte // RFC 3161, over the signature
	envelope     *envelope
	proofs       bool // its entries must prove that they are logged; a promise is not enough
}

// The JSON of a sigstore bundle, as far as it is used. Its 64-bit integers are
// strings.
type (
	bundleJSON struct {
		MediaType    string           `json:"mediaType"`
		Verification verificationJSON `json:"verificationMaterial"`
		Envelope     *envelope        `json:"dsseEnvelope,omitempty"`
	}
	verificationJSON struct {
		PublicKey   *hintJSON       `json:"publicKey,omitempty"`
		Certificate *rawJSON        `json:"certificate,omitempty"`
		Chain       *chainJSON      `json:"x509CertificateChain,omitempty"`
		Entries     []logEntry      `json:"tlogEntries,omitempty"`
		Timestamps  *timestampsJSON `json:"timestampVerificationData,omitempty"`
	}
	hintJSON struct {
		Hint string `json:"hint,omitempty"`
	}
	rawJSON struct {
		RawBytes []byte `json:"rawBytes"`
	}
	chainJSON struct {
		Certificates []rawJSON `json:"certificates"`
	}
	timestampsJSON struct {
		RFC3161 []timestampJSON `json:"rfc3161Timestamps,omitempty"`
	}
	timestampJSON struct {
		Signed []byte `json:"signedTimestamp"`
	}
	envelope struct {
		Payload     []byte              `json:"payload"`
		PayloadType string              `json:"payloadType"`
		Signatures  []envelopeSignature `json:"signatures"`
	}
	envelopeSignature struct {
		Sig   []byte `json:"sig"`
		KeyID string `json:"keyid,omitempty"`
	}
)

// integer is a 64-bit integer as protobuf's JSON has it: a string, or a number.
type integer int64

func (i integer) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatInt(int64(i), 10) + `"`), nil
}

func (i *integer) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	*i = integer(n)
	return err
}

// pae is what a DSSE signature covers.
func (e *envelope) pae() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload)
}

// newEnvelope is the envelope of a signature of d, without the signature: the
// statement that cosign 3 writes, byte for byte.
func newEnvelope(d digest.Digest) *envelope {
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{%q:%q},"annotations":{}}],"predicateType":%q,"predicate":{}}`,
		typeStatement, d.Algorithm(), d.Encoded(), typeSignature)
	return &envelope{Payload: []byte(payload), PayloadType: typeInToto}
}
