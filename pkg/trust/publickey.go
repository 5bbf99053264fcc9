package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// PublicKey is a key that signatures are checked with: EC on a NIST curve, RSA
// of at least 2048 bits, or Ed25519.
type PublicKey struct {
	Key crypto.PublicKey // as package crypto has it; read-only

	der  []byte
	name string
}

// maxKeys bounds the public keys in one text.
const maxKeys = 64

// ParsePublicKeys reads PEM public keys, each of which is a signer of its own,
// or one certificate, of which only the key counts; a key that stands there
// twice is returned once. A text with anything else in a PEM block, a damaged
// block, or more than 64 keys is refused whole: a key that is left out would
// not be missed. name is what reports call the keys; "" is their fingerprints.
// The error is an entry.ErrInvalid.
func ParsePublicKeys(name string, text []byte) ([]*PublicKey, error) {
	bad := func(format string, args ...any) ([]*PublicKey, error) {
		return nil, fmt.Errorf("%w: public key %s: %w", entry.ErrInvalid, name, fmt.Errorf(format, args...))
	}
	var keys []*PublicKey
	blocks, certificates := 0, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if blocks++; blocks > maxKeys {
			return bad("more than %d PEM blocks in it", maxKeys)
		}
		if block.Type == "CERTIFICATE" {
			certificates++
		}
		key, err := parsePublic(block)
		if err != nil {
			return bad("%w", err)
		}
		public, err := newPublicKey(name, key)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(keys, func(k *PublicKey) bool { return bytes.Equal(k.der, public.der) }) {
			keys = append(keys, public)
		}
	}
	switch {
	case bytes.Count(text, []byte("-----BEGIN ")) > blocks:
		return bad("a PEM block in it is damaged")
	case blocks == 0:
		return bad("no PEM block in it")
	case certificates > 0 && blocks > 1:
		return bad("a certificate and more in it: give the certificate of the signer alone")
	}
	return keys, nil
}

func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block of type %q is not a public key", signature.Shorten(block.Type))
}

func newPublicKey(name string, key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("%w: public key %s: an RSA key of %d bits, less than 2048", entry.ErrInvalid, name, k.N.BitLen())
		}
	default:
		return nil, fmt.Errorf("%w: public key %s: keys of type %T are not supported", entry.ErrInvalid, name, key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: public key %s: %v", entry.ErrInvalid, name, err)
	}
	return &PublicKey{Key: key, der: der, name: name}, nil
}

// hint is how bundles name a key: the SHA-256 of its DER form, in base64.
func (k *PublicKey) hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// String names the key by its name and fingerprint.
func (k *PublicKey) String() string {
	print := fmt.Sprintf("SHA256:%.8x", sha256.Sum256(k.der))
	if k.name == "" {
		return "key " + print
	}
	return "key " + k.name + " (" + print + ")"
}

// PEM returns the key as a file.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der})
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
