package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// noPassword must not be asked.
func noPassword() ([]byte, error) { return nil, errors.New("asked for a password") }

func TestPrivateKeys(t *testing.T) {
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
	p256 := newKey(t)
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"P-256": privatePEM(t, p256), "P-384": privatePEM(t, p384), "RSA": privatePEM(t, rsaKey), "Ed25519": privatePEM(t, edKey),
		"EC PRIVATE KEY":  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
		"RSA PRIVATE KEY": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}),
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := parsePrivateKey(text, noPassword)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := ParsePublicKeys("p", signer.PublicKey().PEM())
			if err != nil || len(keys) != 1 {
				t.Fatalf("%d keys, error %v", len(keys), err)
			}
			public := keys[0]
			made, err := signer.Sign(t.Context(), []byte("message"))
			if err != nil || !signature.Verifies(public.Key, []byte("message"), made) || signature.Verifies(public.Key, []byte("massage"), made) {
				t.Errorf("signature %x, error %v", made, err)
			}
		})
	}
}

func TestEncryptedKeys(t *testing.T) {
	der, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypted.Encrypt(der, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"} {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: sealed})
		if _, err := parsePrivateKey(text, func() ([]byte, error) { return []byte("secret"), nil }); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		_, err := parsePrivateKey(text, func() ([]byte, error) { return []byte("wrong"), nil })
		if !errors.Is(err, entry.ErrInvalid) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s, wrong password: %v", kind, err)
		}
	}
}

func TestInvalidKeys(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "public": string(testSigner(t).PublicKey().PEM()),
		"garbage": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})),
	} {
		if _, err := parsePrivateKey([]byte(text), noPassword); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := signDigest(t.Context(), testSigner(t), nil, "other", digest.FromString("x"), ""); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("another format: %v", err)
	}
	if _, err := signDigest(t.Context(), testSigner(t), nil, Bundle, "sha256:x", ""); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("no digest: %v", err)
	}
}

// The plugin is this test, run again with a variable set.
const pluginVariable = "TRUST_TEST_PLUGIN"

func TestMain(m *testing.M) {
	if mode := os.Getenv(pluginVariable); mode != "" {
		plugin(mode)
		return
	}
	os.Exit(m.Run())
}

// plugin answers one call of the protocol.
func plugin(mode string) {
	var call common.PluginArgs
	if err := json.Unmarshal([]byte(os.Args[2]), &call); err != nil || os.Args[1] != common.ProtocolVersion || call.InitOptions.KeyResourceID != "the/key" {
		fmt.Printf(`{"errorMessage":"call %q: %v"}`, os.Args[1:], err)
		return
	}
	signer, err := parsePrivateKey([]byte(os.Getenv("TRUST_TEST_KEY")), noPassword)
	if err != nil {
		fmt.Printf(`{"errorMessage":%q}`, err)
		return
	}
	var answer common.PluginResp
	switch call.MethodName {
	case common.PublicKeyMethodName:
		answer.PublicKey = &common.PublicKeyResp{PublicKeyPEM: signer.PublicKey().PEM()}
		if mode == "two keys" {
			other, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				return
			}
			public, err := newPublicKey("", other.Public())
			if err != nil {
				return
			}
			answer.PublicKey.PublicKeyPEM = append(answer.PublicKey.PublicKeyPEM, public.PEM()...)
		}
	case common.SignMessageMethodName:
		message, err := io.ReadAll(os.Stdin)
		if err != nil {
			return
		}
		if mode == "lies" {
			message = []byte("something else")
		}
		signature, err := signer.Sign(context.Background(), message)
		if err != nil {
			return
		}
		answer.SignMessage = &common.SignMessageResp{Signature: signature}
		if mode == "fails" {
			answer = common.PluginResp{ErrorMessage: "the token is locked"}
		}
	}
	if mode == "babbles" {
		fmt.Print(strings.Repeat("x", maxPluginAnswer+1))
		return
	}
	_ = json.NewEncoder(os.Stdout).Encode(answer)
}

func TestPlugin(t *testing.T) {
	key := newKey(t)
	t.Setenv("TRUST_TEST_KEY", string(privatePEM(t, key)))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	look := func(file string) (string, error) {
		if file != "sigstore-kms-test" {
			return "", os.ErrNotExist
		}
		return self, nil
	}
	d := digest.FromString("revision")
	for mode, want := range map[string]string{"works": "", "fails": "the token is locked", "lies": "does not check what it signed", "babbles": "not that of a plugin", "two keys": "answers with 2 public keys"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(pluginVariable, mode)
			var signature Signature
			signer, err := openPlugin(t.Context(), "test://the/key", look)
			if err == nil {
				signature, err = signDigest(t.Context(), signer, nil, Bundle, d, "")
			}
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			public, err := newPublicKey("", key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if check := byKeys(t, &Rule{Keys: []*PublicKey{public}}).check(d, signature); check.Result != entry.VerdictVerified {
				t.Errorf("%+v", check)
			}
		})
	}
	for _, reference := range []string{"other://key", "key.pem", "../x://key"} {
		if _, err := openPlugin(t.Context(), reference, look); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: %v", reference, err)
		}
	}
}
