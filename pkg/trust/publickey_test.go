package trust

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// publicPEM is a public key as a file, and how reports name it as NAME.
func publicPEM(t *testing.T, name string) (text []byte, shown string) {
	t.Helper()
	key, err := newPublicKey(name, newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	return key.PEM(), key.String()
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func join(texts ...[]byte) []byte { return bytes.Join(texts, []byte("\n")) }

func TestPublicKeys(t *testing.T) {
	a, nameA := publicPEM(t, "team.pub")
	b, nameB := publicPEM(t, "team.pub")
	certificate := selfSigned(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakDER, err := x509.MarshalPKIXPublicKey(weak.Public())
	if err != nil {
		t.Fatal(err)
	}
	var many []byte
	for range maxKeys + 1 {
		many = append(many, a...)
	}
	for name, test := range map[string]struct {
		text []byte
		want []string
		err  string
	}{
		"one":                    {text: a, want: []string{nameA}},
		"two":                    {text: join(a, b), want: []string{nameA, nameB}},
		"two among other text":   {text: join([]byte("alice"), a, []byte("bob"), b, []byte("end")), want: []string{nameA, nameB}},
		"one of them twice":      {text: join(a, b, a), want: []string{nameA, nameB}},
		"CRLF":                   {text: bytes.ReplaceAll(join(a, b), []byte("\n"), []byte("\r\n")), want: []string{nameA, nameB}},
		"none":                   {text: []byte("hello"), err: "no PEM block in it"},
		"empty":                  {err: "no PEM block in it"},
		"private":                {text: join(a, privatePEM(t, newKey(t))), err: `type "PRIVATE KEY" is not a public key`},
		"garbage in the second":  {text: join(a, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), err: "public key team.pub: "},
		"the second is cut":      {text: join(a, b[:len(b)-40]), err: "damaged"},
		"the first is cut":       {text: join(a[:60], b), err: "damaged"},
		"base64 is not":          {text: join(a, bytes.Replace(b, []byte("M"), []byte("*"), 1)), err: "damaged"},
		"a chain":                {text: join(certificate, selfSigned(t)), err: "give the certificate of the signer alone"},
		"a certificate and more": {text: join(a, certificate), err: "give the certificate of the signer alone"},
		"too many":               {text: many, err: "more than 64"},
		"RSA of 1024 bits":       {text: join(a, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: weakDER})), err: "less than 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParsePublicKeys("team.pub", test.text)
			if test.err != "" {
				if len(keys) > 0 || !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%d keys, error %v, want %q", len(keys), err, test.err)
				}
				return
			}
			var got []string
			for _, key := range keys {
				got = append(got, key.String())
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("error %v, keys (-want +got)\n%s", err, diff)
			}
		})
	}
	if keys, err := ParsePublicKeys("", certificate); err != nil || len(keys) != 1 {
		t.Errorf("a certificate alone: %d keys, error %v", len(keys), err)
	}
}

// Each key of a file that a policy names is a signer: where all must sign, one
// of them does not do.
func TestPolicyFileWithSeveralKeys(t *testing.T) {
	a, _ := publicPEM(t, "")
	b, _ := publicPEM(t, "")
	read := func(string) ([]byte, error) { return join(a, b), nil }
	policy, err := readPolicy([]byte(`{version: 1, rules: [{name: x, signers: all, keys: [{file: team.pub}]}]}`), read, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rule := policy.For("", "x").rule; len(rule.Keys) != 2 || !rule.All {
		t.Errorf("%d keys, all %v; want both keys", len(rule.Keys), rule.All)
	}
}
