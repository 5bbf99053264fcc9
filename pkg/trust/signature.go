package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
)

// Format is a way to store signatures.
type Format string

// The formats.
const (
	Bundle Format = "bundle" // a sigstore bundle in a referrer: cosign 3's
	Legacy Format = "legacy" // a layer under the tag sha256-….sig: cosign 2's
)

// Bounds on what others stored.
const (
	maxSignature    = 1 << 20 // bytes of one signature with all that proves it
	maxSignatures   = 32      // signatures of one digest that are looked at
	maxReferrers    = 256     // referrers of one digest among which they are looked for
	maxCertificates = 8       // of one signature
	maxEntries      = 8       // log entries, and timestamps, of one signature
)

const (
	bundleFamily   = "application/vnd.dev.sigstore.bundle"
	mediaTypeV01   = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	mediaTypeV03   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	mediaTypeSaved = "application/vnd.caib.catalog.simplesigning.v1+json"
	typeInToto     = "application/vnd.in-toto+json"
	typeStatement  = "https://in-toto.io/Statement/v1"
	typeStatement0 = "https://in-toto.io/Statement/v0.1"
	typeSignature  = "https://sigstore.dev/cosign/sign/v1"
)

// Signature is one stored signature, in a form that a snapshot can carry: a
// sigstore bundle, or a legacy signature in an object of its own (SPEC section
// 14). It proves nothing before it was checked.
type Signature struct {
	Format Format
	text   []byte // JSON
}

// JSON returns the form that ParseSignature reads; read-only.
func (s Signature) JSON() []byte { return s.text }

// ParseSignature reads what JSON returned, or a sigstore bundle. ok is false
// for what is neither; it may be of a later version.
func ParseSignature(text []byte) (s Signature, ok bool) {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if len(text) > maxSignature || json.Unmarshal(text, &head) != nil {
		return Signature{}, false
	}
	switch {
	case head.MediaType == mediaTypeSaved:
		return Signature{Legacy, text}, true
	case isBundleType(head.MediaType):
		return Signature{Bundle, text}, true
	}
	return Signature{}, false
}

func isBundleType(mediaType string) bool {
	return len(mediaType) >= len(bundleFamily) && mediaType[:len(bundleFamily)] == bundleFamily
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
	statement struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		PredicateType string `json:"predicateType"`
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

// errAttestation is a bundle that says something else about its subject than
// that somebody stands behind it: provenance, a bill of materials.
var errAttestation = fmt.Errorf("an attestation, not a signature")

// errOther is a signature of another digest.
type errOther struct{ of string }

func (e errOther) Error() string { return "it is over another digest, " + e.of }

// open takes a signature apart and holds what it says it covers against want.
func (s Signature) open(want digest.Digest) (*material, error) {
	if s.Format == Legacy {
		return openLegacy(s.text, want)
	}
	return openBundle(s.text, want)
}

func openBundle(text []byte, want digest.Digest) (*material, error) {
	var b bundleJSON
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("bundle: %v", err)
	}
	if b.Envelope == nil || b.Envelope.PayloadType != typeInToto {
		return nil, fmt.Errorf("bundle: its content is not an in-toto envelope")
	}
	if len(b.Envelope.Signatures) != 1 {
		return nil, fmt.Errorf("bundle: %d signatures in its envelope, want one", len(b.Envelope.Signatures))
	}
	if err := b.Envelope.covers(want); err != nil {
		return nil, err
	}
	v := b.Verification
	m := &material{message: b.Envelope.pae(), signature: b.Envelope.Signatures[0].Sig, entries: v.Entries, envelope: b.Envelope}
	m.proofs = b.MediaType != mediaTypeV01
	if v.PublicKey != nil {
		m.hint = v.PublicKey.Hint
	}
	var raw []rawJSON
	switch {
	case v.Certificate != nil:
		raw = []rawJSON{*v.Certificate}
	case v.Chain != nil:
		raw = v.Chain.Certificates
	}
	if v.Timestamps != nil {
		for _, timestamp := range v.Timestamps.RFC3161 {
			m.timestamps = append(m.timestamps, timestamp.Signed)
		}
	}
	if len(raw) > maxCertificates || len(m.entries) > maxEntries || len(m.timestamps) > maxEntries {
		return nil, fmt.Errorf("bundle: too many certificates, log entries or timestamps")
	}
	for _, r := range raw {
		certificate, err := x509.ParseCertificate(r.RawBytes)
		if err != nil {
			return nil, fmt.Errorf("bundle: certificate: %v", err)
		}
		m.certificates = append(m.certificates, certificate)
	}
	return m, nil
}

// covers checks that the envelope's statement is a signature of want.
func (e *envelope) covers(want digest.Digest) error {
	var s statement
	if err := json.Unmarshal(e.Payload, &s); err != nil {
		return fmt.Errorf("bundle: statement: %v", err)
	}
	if s.Type != typeStatement && s.Type != typeStatement0 {
		return fmt.Errorf("bundle: statement of type %s", strconv.Quote(shorten(s.Type)))
	}
	if s.PredicateType != typeSignature {
		return errAttestation
	}
	if len(s.Subject) != 1 {
		return fmt.Errorf("bundle: a statement about %d subjects, want one", len(s.Subject))
	}
	if got := s.Subject[0].Digest[want.Algorithm().String()]; got == "" || got != want.Encoded() {
		return errOther{shorten(got)}
	}
	return nil
}

// sign is the envelope of a signature of d, without the signature: the
// statement that cosign 3 writes, byte for byte.
func newEnvelope(d digest.Digest) *envelope {
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{%q:%q},"annotations":{}}],"predicateType":%q,"predicate":{}}`,
		typeStatement, d.Algorithm(), d.Encoded(), typeSignature)
	return &envelope{Payload: []byte(payload), PayloadType: typeInToto}
}

func shorten(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}

func unix(seconds integer) time.Time { return time.Unix(int64(seconds), 0).UTC() }

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
