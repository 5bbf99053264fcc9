package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// costly is an RSA key with which checking one signature takes seconds.
func costly(t *testing.T, bytes int) *rsa.PublicKey {
	t.Helper()
	n := make([]byte, bytes)
	_, _ = rand.Read(n)
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 1<<31 - 1}
}

// certify makes a certificate of any key, by a key of its own.
func certify(t *testing.T, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	by := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "costly"}, IsCA: true, BasicConstraintsValid: true}
	return issue(t, template, template, key, by)
}

// No key that a stranger puts into a signature keeps a reader busy, wherever it
// is: 32 such signatures would take many minutes.
func TestCostlyKeys(t *testing.T) {
	d := digest.FromString("revision")
	key := costly(t, 20<<10)
	garbage := bytes.Repeat([]byte{1}, 20<<10)
	certificate := certify(t, key)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(t, key)}))
	inEntry := func(name string, change func(spec object)) func(s object) {
		return func(s object) {
			spec := object{
				"data":      object{"hash": object{"algorithm": "sha256", "value": d.Encoded()}},
				"signature": object{"content": garbage, "publicKey": object{"content": []byte(text)}},
			}
			change(spec)
			logged := at(s, "verificationMaterial", "tlogEntries")
			logged["kindVersion"] = object{"kind": "hashedrekord", "version": "0.0.1"}
			logged["canonicalizedBody"] = mustJSON(object{"apiVersion": "0.0.1", "kind": "hashedrekord", name: spec})
		}
	}
	for name, test := range map[string]struct {
		craft craft
		edit  func(s object)
	}{
		"leaf": {craft{}, func(s object) {
			s["verificationMaterial"].(object)["certificate"] = object{"rawBytes": certificate.Raw}
			s["dsseEnvelope"].(object)["signatures"] = []any{object{"sig": garbage}}
		}},
		"chain":     {craft{media: mediaTypeV01, chain: []*x509.Certificate{certificate}}, nil},
		"log entry": {craft{}, inEntry("spec", func(object) {})},
		"log entry, in capitals": {craft{}, inEntry("Spec", func(spec object) {
			spec["SIGNATURE"] = object{"Content": garbage, "publickey": object{"CONTENT": []byte(text)}}
			delete(spec, "signature")
		})},
		"timestamp": {craft{}, func(s object) {
			stamp := costlyStamp(t, certificate)
			s["verificationMaterial"].(object)["timestampVerificationData"] = object{"rfc3161Timestamps": []any{object{"signedTimestamp": stamp}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			test.craft.lab, test.craft.edit = l, test.edit
			made := test.craft.make(d)
			var check Check
			testwait.Return(t, "the verdict on 32 signatures", func() {
				var all []Signature
				for range signature.MaxSignatures {
					all = append(all, signature.New(made.Format, made.JSON()))
				}
				check = l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, all...)
			})
			if check.Result != entry.VerdictInvalid || name != "leaf" && !strings.Contains(check.Reason, "RSA key of") {
				t.Errorf("%+v, want it invalid for its key", check)
			}
		})
	}
}

// costlyStamp is a timestamp that says it was signed by a certificate's key.
func costlyStamp(t *testing.T, by *x509.Certificate) []byte {
	t.Helper()
	l := newLab(t)

	key := newKey(t)
	l.stampKey, l.stamper = key, certify(t, key.Public())
	stamp := l.stampOf([]byte("signature"))
	// Its certificate is exchanged for the other one, with all lengths around it.
	var response struct {
		Status asn1.RawValue
		Token  struct {
			Type asn1.ObjectIdentifier
			Data struct {
				Version      int
				Digests      asn1.RawValue
				Content      asn1.RawValue
				Certificates asn1.RawValue
				Signers      asn1.RawValue
			} `asn1:"explicit,tag:0"`
		}
	}
	if _, err := asn1.Unmarshal(stamp, &response); err != nil {
		t.Fatal(err)
	}
	response.Token.Data.Certificates = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: by.Raw}
	text, err := asn1.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
