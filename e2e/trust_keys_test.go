package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"path/filepath"
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

// A key pair that the caib command generates or imports, of each kind, is one
// of cosign's: either cosign signs with it what the caib command verifies, and
// the other way round.
func TestKeyPairsAndCosign(t *testing.T) {
	t.Parallel()
	c := newCosigns(t)
	w := newWorld(t, targets()["ggcr"](t))
	w.env = append(w.env, "COSIGN_PASSWORD="+password)
	w.ok("catalog", "generate-key-pair", "--output-key-prefix", filepath.Join(c.dir, "generated"))
	kinds := []string{"generated"}
	files := someKeys(t)
	for _, kind := range []string{"p384", "rsa-2048", "ed25519"} {
		text := files[kind]
		plain := filepath.Join(c.dir, kind+".pem")
		write(t, plain, string(text))
		w.ok("catalog", "import-key-pair", "--key", plain, "--output-key-prefix", filepath.Join(c.dir, kind))
		kinds = append(kinds, kind)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			same, c := *w, c.in(t)
			w := &same
			w.t = t
			c.key, c.public = filepath.Join(c.dir, kind+".key"), filepath.Join(c.dir, kind+".pub")
			for _, format := range formats {
				name := kind + "-" + format
				w.ok("catalog", "publish", w.push(name, "1"), "--sign-key", c.key, "--signature-format", format)
				for program, args := range c.verifications(format, c.public) {
					c.must(program, append(args, w.on.catalog+"@"+w.revision(name))...)
				}
			}
			for by, sign := range c.signings() {
				name := kind + "-by-" + mapped(by)
				w.ok("catalog", "publish", w.push(name, "1"))
				w.exits(7, "catalog", "get", name, "--key", c.public)
				sign(w.on.catalog + "@" + w.revision(name))
				w.ok("catalog", "get", name, "--key", c.public)
			}
		})
	}
}
