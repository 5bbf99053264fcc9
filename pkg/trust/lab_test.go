package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sigroot "github.com/sigstore/sigstore-go/pkg/root"
)

// labHost is where the lab's services listen, which is the name of its log.
const labHost = "127.0.0.1"

// lab is a sigstore of its own, in memory: a certificate authority with a
// certificate log, a transparency log of both versions, a timestamp authority.
// Its services answer like the real ones.
type lab struct {
	t         testing.TB
	root      *x509.Certificate
	ca        *x509.Certificate
	caKey     *ecdsa.PrivateKey
	stamper   *x509.Certificate
	stampKey  *ecdsa.PrivateKey
	logKey    crypto.Signer // EC or Ed25519; version 1 makes promises with EC only
	ctKey     *ecdsa.PrivateKey
	server    *httptest.Server
	now       time.Time
	noSCT     bool // certificates are not logged
	noCT      bool // the trusted root names no certificate log
	noLog     bool // the trusted root names no transparency log
	noStamper bool
	ctName    []byte    // what the certificate log says its ID is; nil is the truth
	retired   bool      // the trusted root says that the authority is no longer used
	logName   []byte    // what the log says its ID is; nil is the truth
	stampAt   time.Time // the time of timestamps; zero is now
	logEnded  time.Time // when the trusted root says the log's key ended; zero is never
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, now: time.Now().UTC().Truncate(time.Second)}
	rootKey := newKey(t)
	year := l.now.AddDate(1, 0, 0)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: l.now.AddDate(-1, 0, 0), NotAfter: year,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	l.root = issue(t, authority, authority, rootKey.Public(), rootKey)
	l.caKey, l.stampKey, l.logKey, l.ctKey = newKey(t), newKey(t), newKey(t), newKey(t)
	middle := *authority
	middle.Subject.CommonName, middle.ExtKeyUsage = "intermediate", []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	l.ca = issue(t, &middle, l.root, l.caKey.Public(), rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	l.stamper = issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "stamper"}, NotBefore: l.now.AddDate(-1, 0, 0), NotAfter: year,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, l.root, l.stampKey.Public(), rootKey)
	l.server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.server.Close)
	return l
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// keyID is how a trusted root and the entries of a log name its key: EC keys by
// their hash, Ed25519 keys by that of the note's signer, which holds the name.
func keyID(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	public, plain := key.Public().(ed25519.PublicKey)
	if !plain {
		return sum256(spki(t, key.Public()))
	}
	return sum256(append([]byte(labHost+"\n\x01"), public...))
}

// keyDetails is how sigstore's files call the kind of a key, with its hash.
func keyDetails(key crypto.PublicKey) (name string, hash crypto.Hash) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 384:
			return "PKIX_ECDSA_P384_SHA_384", crypto.SHA384
		case 521:
			return "PKIX_ECDSA_P521_SHA_512", crypto.SHA512
		}
	case *rsa.PublicKey:
		return fmt.Sprintf("PKIX_RSA_PKCS1V15_%d_SHA256", k.N.BitLen()), crypto.SHA256
	case ed25519.PublicKey:
		return "PKIX_ED25519", 0
	}
	return "PKIX_ECDSA_P256_SHA_256", crypto.SHA256
}

// trustedRoot is the file that names the lab's services.
func (l *lab) trustedRoot() []byte {
	l.t.Helper()
	valid := object{"start": l.now.AddDate(-1, 0, 0).Format(time.RFC3339)}
	log := func(key crypto.Signer) []object {
		kind, _ := keyDetails(key.Public())
		return []object{{
			"baseUrl": l.server.URL, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": keyID(l.t, key)},
			"publicKey": object{"rawBytes": spki(l.t, key.Public()), "keyDetails": kind, "validFor": valid},
		}}
	}
	chain := func(certificates ...*x509.Certificate) []object {
		var raw []object
		for _, c := range certificates {
			raw = append(raw, object{"rawBytes": c.Raw})
		}
		return []object{{"uri": l.server.URL, "certChain": object{"certificates": raw}, "validFor": valid}}
	}
	file := object{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "certificateAuthorities": chain(l.ca, l.root)}
	if l.retired {
		ended := object{"start": valid["start"], "end": l.now.AddDate(0, -1, 0).Format(time.RFC3339)}
		file["certificateAuthorities"].([]object)[0]["validFor"] = ended
	}
	if !l.noLog {
		logs := log(l.logKey)
		if !l.logEnded.IsZero() {
			logs[0]["publicKey"].(object)["validFor"] = object{"start": valid["start"], "end": l.logEnded.Format(time.RFC3339)}
		}
		file["tlogs"] = logs
	}
	if !l.noCT {
		file["ctlogs"] = log(l.ctKey)
	}
	if !l.noStamper {
		file["timestampAuthorities"] = chain(l.stamper, l.root)
	}
	text, err := json.Marshal(file)
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

func (l *lab) parsedRoot() *Root {
	l.t.Helper()
	root, err := parseRoot(l.trustedRoot())
	if err != nil {
		l.t.Fatal(err)
	}
	return root
}

// signingConfig is the file that names some of the lab's services.
func (l *lab) signingConfig(logVersion int, stamped bool) []byte {
	service := func(path string, version int) string {
		return fmt.Sprintf(`[{"url":%q,"majorApiVersion":%d,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"lab"}]`, l.server.URL+path, version)
	}
	config := `{"mediaType":"` + sigroot.SigningConfigMediaType02 + `","caUrls":` + service("", 1) + `,"oidcUrls":` + service("/issuer", 1)
	if logVersion > 0 {
		config += `,"rekorTlogUrls":` + service("", logVersion)
	}
	if stamped {
		config += `,"tsaUrls":` + service("/stamp", 1)
	}
	return []byte(config + "}")
}

// services are those of a signing config.
func (l *lab) services(logVersion int, stamped bool) *services {
	l.t.Helper()
	s, err := parseSigningConfig(l.signingConfig(logVersion, stamped), http.DefaultTransport, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// privatePEM is a key as a file.
func privatePEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
