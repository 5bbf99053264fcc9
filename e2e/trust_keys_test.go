package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"
)

// ownKeys and otherKeys are two sets with a key of every kind. Each is made
// once, because large RSA keys take seconds.
var ownKeys, otherKeys = sync.OnceValue(newKeys), sync.OnceValue(newKeys)

func newKeys() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for kind, make := range map[string]func() (crypto.Signer, error){
		"p256":     func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"p384":     func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"p521":     func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"rsa-2048": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"rsa-4096": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 4096) },
		"ed25519": func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		},
	} {
		key, err := make()
		if err != nil {
			panic(err) // only a broken source of randomness
		}
		keys[kind] = key
	}
	return keys
}

// someKeys are private keys of every kind, unencrypted, as files.
func someKeys(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for kind, key := range ownKeys() {
		files[kind] = []byte(privatePEM(t, key))
	}
	return files
}
