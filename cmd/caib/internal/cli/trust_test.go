package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// cmdKeypair is `keypair NAME [PASSWORD]`: NAME.key and NAME.pub, the private
// key as cosign encrypts it where there is a password.
func cmdKeypair(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: keypair NAME [PASSWORD]")
	}
	_, err := writeKeypair(ts.MkAbs(args[0]), args[1:]...)
	ts.Check(err)
}

// writeKeypair makes a key and writes it to PATH.key and PATH.pub.
func writeKeypair(path string, password ...string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	kind := "PRIVATE KEY"
	if len(password) > 0 {
		kind = "ENCRYPTED SIGSTORE PRIVATE KEY"
		if private, err = encrypted.Encrypt(private, []byte(password[0])); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(path+".key", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: private}), 0o600); err != nil {
		return nil, err
	}
	return key, os.WriteFile(path+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
}

// cmdSomeKeys is `somekeys`: private keys that are not encrypted. p384.pem,
// rsa.pem and ed25519.pem are PKCS#8, ec.pem and pkcs1.pem are of older forms,
// and weak.pem is an RSA key of 1024 bits.
func cmdSomeKeys(ts *testscript.TestScript, _ bool, _ []string) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ts.Check(err)
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	ts.Check(err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	write := func(name, kind string, der []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	for name, key := range map[string]crypto.Signer{"p384": p384, "rsa": strong, "weak": weak, "ed25519": edwards} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		ts.Check(err)
		write(name, "PRIVATE KEY", der)
	}
	der, err := x509.MarshalECPrivateKey(p384)
	ts.Check(err)
	write("ec", "EC PRIVATE KEY", der)
	write("pkcs1", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(strong))
}

// cmdEnvKey is `envkey VARIABLE FILE`: the variable holds what the file does.
func cmdEnvKey(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: envkey VARIABLE FILE")
	}
	ts.Setenv(args[0], ts.ReadFile(args[1]))
}
