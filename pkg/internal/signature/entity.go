package signature

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// maxBody bounds the body of a log entry, in bytes.
const maxBody = 64 << 10

// Entity is a signature by certificate as sigstore-go's verifier takes it. It is
// safe for concurrent use.
type Entity struct {
	*bundle.Bundle
	Entries []*tlog.Entry
	version string
}

// Entity makes, once, what sigstore-go's verifier takes of a signature by
// certificate. The error says why the signature is invalid.
func (c *Content) Entity() (*Entity, error) { return c.entity() }

func invalid(format string, args ...any) error {
	return errors.New(Printable(fmt.Sprintf(format, args...)))
}

// newEntity makes the entity of a signature, once what is in it is known to be
// within bounds. The error says why it is invalid.
func (c *Content) newEntity() (*Entity, error) {
	for _, logged := range c.bundle.GetVerificationMaterial().GetTlogEntries() {
		if err := CheckLogEntry(logged); err != nil {
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
	e := &Entity{Bundle: b}
	if e.Entries, err = b.TlogEntries(); err != nil {
		return nil, invalid("%v", err)
	}
	if shortHash(c.Leaf, c.Message, c.Signature) {
		if e.version, err = b.Version(); err != nil {
			return nil, invalid("%v", err)
		}
	}
	return e, nil
}

// TlogEntries returns the entries, parsed before.
func (e *Entity) TlogEntries() ([]*tlog.Entry, error) { return e.Entries, nil }

// Version is "", with which the verifier takes only the hash that goes with a key,
// except for signatures that are of the older kind: it tries the other on stderr.
func (e *Entity) Version() (string, error) { return e.version, nil }

// Leaf returns the certificate, parsed anew: the verifier writes to it.
func (e *Entity) Leaf() *x509.Certificate {
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

// CheckLogEntry checks that the body of a log entry is small, of a kind that holds
// signatures, and holds one, by a key that is soon checked.
func CheckLogEntry(logged *rekor.TransparencyLogEntry) error {
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
		return invalid("its log entry is of kind %q", Shorten(body.Kind+" "+body.Version))
	}
	return nil
}

// bodyKind is what the body of a log entry says of its kind.
type bodyKind struct {
	Version string `json:"apiVersion"`
	Kind    string `json:"kind"`
}
