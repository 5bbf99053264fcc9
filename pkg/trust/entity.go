package trust

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"

	"github.com/go-json-experiment/json"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// maxBody bounds the body of a log entry, in bytes.
const maxBody = 64 << 10

// entity is a signature by certificate as sigstore-go's verifier takes it. It is
// safe for concurrent use.
type entity struct {
	*bundle.Bundle
	entries []*tlog.Entry
	version string
}

// newEntity makes the entity of a signature, once what is in it is known to be
// within bounds. An error is an outcome.
func (c *content) newEntity() (*entity, error) {
	for _, logged := range c.bundle.GetVerificationMaterial().GetTlogEntries() {
		if err := checkEntry(logged); err != nil {
			return nil, err
		}
	}
	for _, stamp := range c.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps() {
		if err := checkStamp(stamp.GetSignedTimestamp()); err != nil {
			return nil, invalid("%v", err)
		}
	}
	b, err := bundle.NewBundle(c.bundle)
	if err != nil {
		return nil, invalid("%v", err)
	}
	e := &entity{Bundle: b}
	if e.entries, err = b.TlogEntries(); err != nil {
		return nil, invalid("%v", err)
	}
	if shortHash(c.leaf, c.message, c.signature) {
		if e.version, err = b.Version(); err != nil {
			return nil, invalid("%v", err)
		}
	}
	return e, nil
}

// TlogEntries returns the entries, parsed before.
func (e *entity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

// Version is "", with which the verifier takes only the hash that goes with a key,
// except for signatures that are of the older kind: it tries the other on stderr.
func (e *entity) Version() (string, error) { return e.version, nil }

// leaf returns the certificate, parsed anew: the verifier writes to it.
func (e *entity) leaf() *x509.Certificate {
	content, err := e.VerificationContent()
	if err != nil {
		return nil
	}
	return content.Certificate()
}

// shortHash reports whether a key on a large curve signed the SHA-256 of a
// message, as older clients let it.
func shortHash(leaf *x509.Certificate, message, signature []byte) bool {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	sum := sha256.Sum256(message)
	return ok && key.Curve.Params().BitSize > 256 && ecdsa.VerifyASN1(key, sum[:], signature)
}

// checkEntry checks that the body of a log entry is small, of a kind that holds
// signatures, and holds one, by a key that is soon checked.
func checkEntry(logged *rekor.TransparencyLogEntry) error {
	if len(logged.GetCanonicalizedBody()) > maxBody {
		return invalid("a log entry of more than %d bytes", maxBody)
	}
	var body struct {
		bodyKind
		Spec struct {
			Signatures []any `json:"signatures"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(logged.GetCanonicalizedBody(), &body); err != nil {
		return invalid("its log entry: %v", err)
	}
	if err := checkKeysIn(logged.GetCanonicalizedBody()); err != nil {
		return invalid("its log entry: %v", err)
	}
	switch body.Kind + " " + body.Version {
	case "hashedrekord 0.0.1", "hashedrekord 0.0.2":
	case "dsse 0.0.1":
		if len(body.Spec.Signatures) != 1 {
			return invalid("its log entry holds %d signatures, want one", len(body.Spec.Signatures))
		}
	default:
		return invalid("its log entry is of kind %q", shorten(body.Kind+" "+body.Version))
	}
	return nil
}

// bodyKind is what the body of a log entry says of its kind.
type bodyKind struct {
	Version string `json:"apiVersion"`
	Kind    string `json:"kind"`
}
