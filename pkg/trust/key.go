package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// PublicKey is a key that signatures are checked with: EC on a NIST curve, RSA
// of at least 2048 bits, or Ed25519.
type PublicKey struct {
	key  crypto.PublicKey
	der  []byte
	name string
}

// ParsePublicKey reads a PEM public key or certificate; of a certificate only
// the key counts. name is what reports call the key; "" is its fingerprint.
// The error is an entry.ErrInvalid.
func ParsePublicKey(name string, text []byte) (*PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: public key %s: no PEM block in it", entry.ErrInvalid, name)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, fmt.Errorf("%w: public key %s: more than one PEM block in it", entry.ErrInvalid, name)
	}
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		err = fmt.Errorf("a PEM block of type %q is not a public key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: public key %s: %v", entry.ErrInvalid, name, err)
	}
	return newPublicKey(name, key)
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
	return &PublicKey{key: key, der: der, name: name}, nil
}

// Hint is how bundles name a key: the SHA-256 of its DER form, in base64.
func (k *PublicKey) Hint() string {
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

// verifies tells whether the key made a signature of message. Which hash goes
// with a key is not in the signature; clients differ for the larger curves.
func (k *PublicKey) verifies(message, signature []byte) bool {
	return verifies(k.key, message, signature)
}

func verifies(key crypto.PublicKey, message, signature []byte) bool {
	short := sha256.Sum256(message)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(k, short[:], signature) {
			return true
		}
		switch k.Curve.Params().BitSize {
		case 384:
			sum := sha512.Sum384(message)
			return ecdsa.VerifyASN1(k, sum[:], signature)
		case 521:
			sum := sha512.Sum512(message)
			return ecdsa.VerifyASN1(k, sum[:], signature)
		}
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, short[:], signature) == nil
	case ed25519.PublicKey:
		if ed25519.Verify(k, message, signature) {
			return true
		}
		sum := sha512.Sum512(message)
		return ed25519.VerifyWithOptions(k, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	return false
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
