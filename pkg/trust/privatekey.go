package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/oci-catalog/caib/pkg/entry"
)

// messageSigner signs messages with one key. It is safe for concurrent use.
type messageSigner interface {
	// Sign returns a signature of a message as cosign makes them: EC and RSA
	// keys sign its SHA-256, Ed25519 keys the message itself.
	Sign(ctx context.Context, message []byte) ([]byte, error)
	// PublicKey returns the key that checks the signatures.
	PublicKey() *PublicKey
}

// keySigner signs with a key in memory.
type keySigner struct {
	key    crypto.Signer
	public *PublicKey
}

// parsePrivateKey reads a PEM private key: cosign's encrypted form, or PKCS#8,
// or the older forms of EC and RSA keys. password is asked for only if the key
// is encrypted. The error is an entry.ErrInvalid, and never quotes the key.
func parsePrivateKey(text []byte, password func() ([]byte, error)) (messageSigner, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: private key: no PEM block in it", entry.ErrInvalid)
	}
	der := block.Bytes
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		secret, err := password()
		if err != nil {
			return nil, err
		}
		if der, err = encrypted.Decrypt(block.Bytes, secret); err != nil {
			return nil, fmt.Errorf("%w: private key: the password does not open it", entry.ErrInvalid)
		}
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
	default:
		return nil, fmt.Errorf("%w: private key: a PEM block of type %q is not supported", entry.ErrInvalid, block.Type)
	}
	key, err := parsePrivate(block.Type, der)
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %v", entry.ErrInvalid, err)
	}
	return newMessageSigner(key)
}

func parsePrivate(kind string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	switch kind {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T do not sign", key)
	}
	return signer, nil
}

// newMessageSigner signs with an EC, RSA or Ed25519 key of crypto.
func newMessageSigner(key crypto.Signer) (messageSigner, error) {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
	default:
		return nil, fmt.Errorf("%w: private key: keys of type %T are not supported", entry.ErrInvalid, key)
	}
	public, err := newPublicKey("", key.Public())
	if err != nil {
		return nil, err
	}
	return &keySigner{key, public}, nil
}

func (s *keySigner) PublicKey() *PublicKey { return s.public }

func (s *keySigner) Sign(_ context.Context, message []byte) ([]byte, error) {
	if _, plain := s.key.(ed25519.PrivateKey); plain {
		return s.key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}
