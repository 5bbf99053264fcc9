package signature

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// ErrAttestation is a bundle that says something else about its subject than
// that somebody stands behind it: provenance, a bill of materials.
var ErrAttestation = errors.New("an attestation, not a signature")

// errOther is a signature of another digest.
type errOther struct{ of string }

func (e errOther) Error() string { return "it is over another digest, " + e.of }

// ErrLater is a signature in a form that a later version may understand.
var ErrLater = errors.New("a signature of a kind that this version does not know")

// Content is a signature taken apart. Nothing in it is checked but its form.
type Content struct {
	Message   []byte // what the signature is over
	Signature []byte
	Hint      string              // which key made it, as its maker says
	Leaf      *x509.Certificate   // nil if a lasting key made it
	Chain     []*x509.Certificate // who issued the leaf, as its maker says; a root in it is no trusted one for that
	Payload   []byte              // of a legacy signature, else nil

	bundle *protobundle.Bundle // nil for a legacy signature by a lasting key
	entity func() (*Entity, error)

	subject func(want digest.Digest) error // what it says it is a signature of
}

// Open takes a signature apart and checks what it says it covers against want.
func (s Signature) Open(want digest.Digest) (*Content, error) {
	parsed := s.parsed
	if parsed == nil {
		parsed = New(s.Format, s.text).parsed
	}
	c, err := parsed()
	if err != nil {
		return nil, err
	}
	return c, c.subject(want)
}

// bundleVersions are the media types of the bundles that are understood.
var bundleVersions = []string{
	mediaTypeV01, "application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.3", mediaTypeV03,
}

func parseBundle(text []byte) (*Content, error) {
	b := &protobundle.Bundle{}
	if err := protojson.Unmarshal(text, b); err != nil {
		if isLater(text) {
			return nil, ErrLater
		}
		return nil, fmt.Errorf("bundle: %v", err)
	}
	if isLaterType(b.GetMediaType()) {
		return nil, ErrLater
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case envelope.GetPayloadType() != typeInToto:
		return nil, fmt.Errorf("bundle: its content is not an in-toto envelope")
	case len(envelope.GetSignatures()) != 1:
		return nil, fmt.Errorf("bundle: %d signatures in its envelope, want one", len(envelope.GetSignatures()))
	}
	about, err := parseStatement(envelope.GetPayload())
	if err != nil {
		return nil, err
	}
	c := &Content{
		Message: dsse.PAE(envelope.GetPayloadType(), envelope.GetPayload()), Signature: envelope.GetSignatures()[0].GetSig(),
		Hint: b.GetVerificationMaterial().GetPublicKey().GetHint(), subject: about.covers,
	}
	raw := b.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
	if one := b.GetVerificationMaterial().GetCertificate(); one != nil {
		raw = append(raw, one)
	}
	var certificates []*x509.Certificate
	for _, r := range raw[:min(len(raw), maxCertificates+1)] {
		certificate, err := parseCertificate(r.GetRawBytes())
		if err != nil {
			return nil, fmt.Errorf("bundle: certificate: %v", err)
		}
		certificates = append(certificates, certificate)
	}
	return c, c.complete(b, certificates)
}

// isLater reports whether a text that is no bundle may be one of a later version:
// it says so, or has members that are not known.
func isLater(text []byte) bool {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	return json.Unmarshal(text, &head) == nil && isLaterType(head.MediaType) ||
		(protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &protobundle.Bundle{}) == nil
}

func isLaterType(mediaType string) bool {
	return isBundleType(mediaType) && !slices.Contains(bundleVersions, mediaType)
}

// complete adds to a signature by certificate what proves it.
func (c *Content) complete(b *protobundle.Bundle, certificates []*x509.Certificate) error {
	v := b.GetVerificationMaterial()
	if len(certificates) > maxCertificates || len(v.GetTlogEntries()) > maxEntries || len(v.GetTimestampVerificationData().GetRfc3161Timestamps()) > maxEntries {
		return fmt.Errorf("too many certificates, log entries or timestamps")
	}
	if len(certificates) == 0 {
		return nil
	}
	c.Leaf, c.Chain, c.bundle = certificates[0], certificates[1:], b
	c.entity = sync.OnceValues(c.newEntity)
	return nil
}

// statement is what an envelope says, as far as it counts.
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string `json:"predicateType"`
}

func parseStatement(payload []byte) (*statement, error) {
	s := &statement{}
	if err := json.Unmarshal(payload, s); err != nil {
		return nil, fmt.Errorf("bundle: statement: %v", err)
	}
	if s.Type != typeStatement && s.Type != typeStatement0 {
		return nil, fmt.Errorf("bundle: statement of type %s", strconv.Quote(Shorten(s.Type)))
	}
	if s.PredicateType != PredicateType {
		return nil, ErrAttestation
	}
	if len(s.Subject) != 1 {
		return nil, fmt.Errorf("bundle: a statement about %d subjects, want one", len(s.Subject))
	}
	return s, nil
}

// covers checks that the statement is a signature of want.
func (s *statement) covers(want digest.Digest) error {
	if got := s.Subject[0].Digest[want.Algorithm().String()]; got == "" || got != want.Encoded() {
		return errOther{Shorten(got)}
	}
	return nil
}
