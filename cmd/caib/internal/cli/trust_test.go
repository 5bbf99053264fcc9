package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
