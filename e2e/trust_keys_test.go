package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/pkg/trust"
)

// someKeys are private keys of every kind, unencrypted, as files.
func someKeys(t testing.TB) map[string][]byte {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]byte{}
	for kind, key := range map[string]any{"p256": p256, "p384": p384, "rsa": rsaKey, "ed25519": edKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		keys[kind] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return keys
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
	for kind, text := range someKeys(t) {
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
			for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
				name := kind + "-" + string(format)
				w.ok("catalog", "publish", w.push(name, "1"), "--sign-key", c.key, "--signature-format", string(format))
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
