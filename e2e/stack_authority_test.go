package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// certAuthority is a key with the certificates that speak for it, its own first
// and the root last, and files with both.
type certAuthority struct {
	chain             []*x509.Certificate
	keyFile, certFile string
}

// newCertifier makes what Fulcio signs certificates with: an intermediate
// authority below a root.
func newCertifier(t testing.TB, dir string) certAuthority {
	t.Helper()
	root, rootKey := newRoot(t, "fulcio root")
	key := newECKey(t)
	certificate := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "fulcio"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, root, &key.PublicKey, rootKey)
	return newCertAuthority(t, dir, "fulcio", key, certificate, root)
}

// newStamper makes what the timestamp authority signs with. Its one extended
// usage must be critical, by RFC 3161.
func newStamper(t testing.TB, dir string) certAuthority {
	t.Helper()
	root, rootKey := newRoot(t, "timestamp root")
	key := newECKey(t)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	certificate := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "timestamps"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, root, &key.PublicKey, rootKey)
	return newCertAuthority(t, dir, "timestamps", key, certificate, root)
}

func newCertAuthority(t testing.TB, dir, name string, key crypto.Signer, chain ...*x509.Certificate) certAuthority {
	t.Helper()
	a := certAuthority{chain: chain, keyFile: filepath.Join(dir, name+".key"), certFile: filepath.Join(dir, name+".pem")}
	write(t, a.keyFile, privatePEM(t, key))
	var text []byte
	for _, certificate := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	write(t, a.certFile, string(text))
	return a
}

func newRoot(t testing.TB, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newECKey(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign,
	}
	return certify(t, template, template, &key.PublicKey, key), key
}

// certify issues a certificate that is valid for a day around now.
func certify(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-12*time.Hour), time.Now().Add(12*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicDER is a public key as certificates have it.
func publicDER(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func publicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(t, key)}))
}

func privatePEM(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
