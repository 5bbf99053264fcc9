package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
)

// A signature is one by a key over whichever hash a client took for it, and over
// no other message, by no other key.
func TestVerifies(t *testing.T) {
	for name, test := range map[string]struct {
		key    func() (crypto.Signer, error)
		hashes []crypto.Hash // 0 is the message itself
		refuse []crypto.Hash
	}{
		"P-256":   {func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, []crypto.Hash{crypto.SHA256}, []crypto.Hash{crypto.SHA512}},
		"P-384":   {func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }, []crypto.Hash{crypto.SHA256, crypto.SHA384}, []crypto.Hash{crypto.SHA512}},
		"P-521":   {func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) }, []crypto.Hash{crypto.SHA256, crypto.SHA512}, []crypto.Hash{crypto.SHA384}},
		"RSA":     {func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }, []crypto.Hash{crypto.SHA256}, []crypto.Hash{crypto.SHA512}},
		"Ed25519": {func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err }, []crypto.Hash{0, crypto.SHA512}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := test.key()
			if err != nil {
				t.Fatal(err)
			}
			other, err := test.key()
			if err != nil {
				t.Fatal(err)
			}
			message := []byte("message")
			for want, hashes := range map[bool][]crypto.Hash{true: test.hashes, false: test.refuse} {
				for _, hash := range hashes {
					sum := message
					if hash != 0 {
						h := hash.New()
						h.Write(message)
						sum = h.Sum(nil)
					}
					made, err := key.Sign(rand.Reader, sum, hash)
					if err != nil {
						t.Fatal(err)
					}
					if got := Verifies(key.Public(), message, made); got != want {
						t.Errorf("over %s: %t, want %t", hash, got, want)
					}
					if Verifies(key.Public(), []byte("massage"), made) || Verifies(other.Public(), message, made) {
						t.Errorf("over %s: it verifies another message, or by another key", hash)
					}
				}
			}
		})
	}
	if Verifies("no key", []byte("message"), []byte("signature")) {
		t.Error("what is no key verifies a signature")
	}
}
