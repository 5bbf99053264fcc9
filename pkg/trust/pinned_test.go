package trust

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

const minute = time.Minute

// pinned is a keyless signature that is odd in one part. Its verdict is pinned:
// another library that verifies it, or a later version of it, must not move it
// without somebody saying so in SPEC.
type pinned struct {
	name  string
	want  entry.Verdict
	build func(t *testing.T, l *lab) craft // of a signature that the lab's root verifies or not; it may change the lab's root
}

func checkPinned(t *testing.T, tests []pinned) {
	t.Helper()
	d := digest.FromString("revision")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			c := test.build(t, l)
			check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, c.make(d))
			if check.Result != test.want {
				t.Errorf("got %s (%s), want %s", check.Result, check.Reason, test.want)
			}
		})
	}
}

func material(s object) object { return s["verificationMaterial"].(object) }
func logged(s object) object   { return material(s)["tlogEntries"].([]any)[0].(object) }
func noProof(s object)         { delete(logged(s), "inclusionProof") }
func noPromise(s object)       { delete(logged(s), "inclusionPromise") }

func annotate(key, value string) func(object) { return func(a object) { a[key] = value } }

// middle is a second intermediate authority, and a lab whose it is.
func middle(l *lab) (*x509.Certificate, *lab) {
	other := *l
	key := newKey(l.t)
	template := *l.ca
	template.Subject.CommonName = "second intermediate"
	other.ca, other.caKey = issue(l.t, &template, l.ca, key.Public(), l.caKey), key
	return other.ca, &other
}

// Versions of bundles, and members that are not known.
func TestPinnedBundles(t *testing.T) {
	checkPinned(t, []pinned{
		{"as it should be", entry.VerdictVerified, func(_ *testing.T, l *lab) craft { return craft{lab: l} }},
		{"legacy", entry.VerdictVerified, func(_ *testing.T, l *lab) craft { return craft{lab: l, legacy: true} }},
		{"version 0.1", entry.VerdictVerified, func(_ *testing.T, l *lab) craft { return craft{lab: l, media: mediaTypeV01} }},
		{"version 0.2", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, media: "application/vnd.dev.sigstore.bundle+json;version=0.2"}
		}},
		{"version 0.3, old spelling", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, media: "application/vnd.dev.sigstore.bundle+json;version=0.3"}
		}},
		{"version 0.4", entry.VerdictUnknown, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, media: "application/vnd.dev.sigstore.bundle.v0.4+json"}
		}},
		{"version 1.0", entry.VerdictUnknown, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, media: "application/vnd.dev.sigstore.bundle.v1.0+json"}
		}},
		{"an unknown member", entry.VerdictUnknown, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, edit: func(s object) { s["later"] = true }}
		}},
		{"an unknown member within", entry.VerdictUnknown, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, edit: func(s object) { logged(s)["later"] = object{} }}
		}},
	})
}

// Chains of certificates, and timestamps.
func TestPinnedChains(t *testing.T) {
	checkPinned(t, []pinned{
		{"another authority with its chain", entry.VerdictUntrusted, func(t *testing.T, l *lab) craft {
			fresh := newLab(t)
			other := *l
			other.ca, other.caKey, other.root = fresh.ca, fresh.caKey, fresh.root
			return craft{lab: &other, media: mediaTypeV01, chain: []*x509.Certificate{fresh.ca, fresh.root}}
		}},
		{"another authority with its chain, legacy", entry.VerdictUntrusted, func(t *testing.T, l *lab) craft {
			fresh := newLab(t)
			other := *l
			other.ca, other.caKey, other.root = fresh.ca, fresh.caKey, fresh.root
			return craft{lab: &other, legacy: true, chain: []*x509.Certificate{fresh.ca, fresh.root}}
		}},
		{"intermediate only in the signature", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			ca, other := middle(l)
			return craft{lab: other, media: mediaTypeV01, chain: []*x509.Certificate{ca}}
		}},
		{"intermediate only in the signature, legacy", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			ca, other := middle(l)
			return craft{lab: other, legacy: true, chain: []*x509.Certificate{ca, l.ca, l.root}}
		}},
		{"intermediate nowhere", entry.VerdictUntrusted, func(_ *testing.T, l *lab) craft {
			_, other := middle(l)
			return craft{lab: other}
		}},

		{"stranger's timestamp beside a good log entry", entry.VerdictVerified, func(t *testing.T, l *lab) craft { return craft{lab: l, stamps: []*lab{newLab(t)}} }},
		{"broken timestamp beside a good log entry", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, stamps: []*lab{l}, edit: func(s object) {
				material(s)["timestampVerificationData"].(object)["rfc3161Timestamps"].([]any)[0].(object)["signedTimestamp"] = "MAA="
			}}
		}},
		{"null timestamp, legacy", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, legacy: true, edit: annotate(annotationTimestamp, "null")}
		}},
		{"stranger's timestamp and no log in the root", entry.VerdictUntrusted, func(t *testing.T, l *lab) craft {
			l.noLog = true
			return craft{lab: l, stamps: []*lab{newLab(t)}}
		}},
		{"timestamp, and no log in the root", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			l.noLog = true
			return craft{lab: l, stamps: []*lab{l}}
		}},
	})
}

// Entries of a transparency log.
func TestPinnedLogEntries(t *testing.T) {
	checkPinned(t, []pinned{
		{"bundle annotation {}", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, legacy: true, edit: annotate(annotationBundle, "{}")}
		}},
		{"bundle annotation null", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, legacy: true, edit: annotate(annotationBundle, "null")}
		}},
		{"body that is a number, legacy", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, legacy: true, edit: annotate(annotationBundle, `{"SignedEntryTimestamp":"","Payload":{"body":1,"integratedTime":1,"logIndex":1,"logID":""}}`)}
		}},
		{"body that is a number", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, edit: func(s object) { logged(s)["canonicalizedBody"] = encode([]byte("1")) }}
		}},
		{"body that is too long", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, edit: func(s object) { logged(s)["canonicalizedBody"] = encode([]byte(strings.Repeat(" ", 64<<10+1))) }}
		}},
		{"empty signature", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft { return craft{lab: l, signed: func([]byte) []byte { return nil }} }},
		{"empty signature, legacy", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, legacy: true, edit: annotate(annotationSignature, "")}
		}},
		{"log key no longer valid", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			l.logEnded = l.now.Add(-time.Hour)
			return craft{lab: l}
		}},
		{"promise only, version 0.1", entry.VerdictVerified, func(_ *testing.T, l *lab) craft { return craft{lab: l, media: mediaTypeV01, edit: noProof} }},
		{"promise only, version 0.3", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft { return craft{lab: l, edit: noProof} }},
		{"proof only, and no timestamp", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft { return craft{lab: l, edit: noPromise} }},
		{"proof only, and a timestamp", entry.VerdictVerified, func(_ *testing.T, l *lab) craft { return craft{lab: l, edit: noPromise, stamps: []*lab{l}} }},
		{"the same entry twice", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, entries: func(e object) []object { return []object{e, e} }}
		}},
		{"a good entry beside a stranger's", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, entries: func(e object) []object {
				other := object{}
				for k, v := range e {
					other[k] = v
				}
				other["logId"] = object{"keyId": sum256([]byte("stranger"))}
				return []object{other, e}
			}}
		}},
		{"a good entry beside one with a forged promise", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, entries: func(e object) []object {
				other := object{}
				for k, v := range e {
					other[k] = v
				}
				other["logIndex"], other["inclusionPromise"] = "8", object{"signedEntryTimestamp": []byte("forged")}
				return []object{other, e}
			}}
		}},
	})
}

// Certificate timestamps, and statements.
func TestPinnedStatements(t *testing.T) {
	checkPinned(t, []pinned{
		{"SCT: none", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, scts: func(*x509.Certificate) []byte { return nil }}
		}},
		{"SCT: a stranger's", entry.VerdictInvalid, func(t *testing.T, l *lab) craft {
			other := *l
			other.ctKey = newKey(t)
			return craft{lab: l, scts: other.sct}
		}},
		{"SCT: a stranger's with a claimed ID", entry.VerdictInvalid, func(t *testing.T, l *lab) craft {
			other := *l
			other.ctKey, other.ctName = newKey(t), keyID(t, l.ctKey)
			return craft{lab: l, scts: other.sct}
		}},
		{"SCT: two, of which one is good", entry.VerdictVerified, func(t *testing.T, l *lab) craft {
			other := *l
			other.ctKey = newKey(t)
			return craft{lab: l, scts: func(before *x509.Certificate) []byte { return sctList(t, other.signedSCT(before), l.signedSCT(before)) }}
		}},
		{"SCT: none, and no certificate log in the root", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			l.noCT = true
			return craft{lab: l, scts: func(*x509.Certificate) []byte { return nil }}
		}},

		{"another predicate", entry.VerdictUnsigned, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, statement: func(s string) string {
				return strings.Replace(s, typeSignature, "https://slsa.dev/provenance/v1", 1)
			}}
		}},
		{"two subjects", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, statement: func(s string) string {
				return strings.Replace(s, `"subject":[`, `"subject":[{"digest":{"sha256":"`+strings.Repeat("0", 64)+`"}},`, 1)
			}}
		}},
		{"sha512 only", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, statement: func(s string) string {
				return strings.Replace(s, `{"sha256":"`+digest.FromString("revision").Encoded()+`"}`, `{"sha512":"`+digest.SHA512.FromString("revision").Encoded()+`"}`, 1)
			}}
		}},
		{"message signature", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, edit: func(s object) {
				delete(s, "dsseEnvelope")
				s["messageSignature"] = object{"messageDigest": object{"algorithm": "SHA2_256", "digest": sum256(nil)}, "signature": []byte{1}}
			}}
		}},
	})
}

// Keys of each kind, and certificates.
func TestPinnedKeys(t *testing.T) {
	checkPinned(t, []pinned{
		{"P-384", entry.VerdictVerified, func(t *testing.T, l *lab) craft {
			return craft{lab: l, key: ecKey(t, elliptic.P384()), hash: crypto.SHA384}
		}},
		{"P-384, SHA-256", entry.VerdictVerified, func(t *testing.T, l *lab) craft { return craft{lab: l, key: ecKey(t, elliptic.P384())} }},
		{"P-521", entry.VerdictVerified, func(t *testing.T, l *lab) craft {
			return craft{lab: l, key: ecKey(t, elliptic.P521()), hash: crypto.SHA512}
		}},
		{"Ed25519", entry.VerdictVerified, func(t *testing.T, l *lab) craft { return craft{lab: l, key: edKey(t)} }},
		{"RSA-2048", entry.VerdictVerified, func(t *testing.T, l *lab) craft { return craft{lab: l, key: rsaKey(t, 2048)} }},
		{"RSA-2048, PSS", entry.VerdictInvalid, func(t *testing.T, l *lab) craft {
			key := rsaKey(t, 2048)
			return craft{lab: l, key: key, signed: func(m []byte) []byte {
				return mustSign(t, key, m, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
			}}
		}},
		{"RSA-1024", entry.VerdictInvalid, func(t *testing.T, l *lab) craft { return craft{lab: l, key: rsaKey(t, 1024)} }},

		{"several alternative names", entry.VerdictVerified, func(t *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.EmailAddresses = []string{"another@example.com"} }}
		}},
		{"an alternative name of another kind", entry.VerdictUntrusted, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) {
				c.URIs = nil
				c.ExtraExtensions = append(c.ExtraExtensions, otherName("somebody"))
			}}
		}},
		{"a URI where an e-mail address is meant", entry.VerdictUntrusted, func(t *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.URIs = []*url.URL{parseURL(t, "mailto:team@example.com")} }}
		}},
		{"a certificate that is an authority", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }}
		}},
		{"a certificate for servers", entry.VerdictUntrusted, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }}
		}},
		{"a certificate without usages", entry.VerdictVerified, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.ExtKeyUsage = nil }}
		}},
		{"a certificate that is over", entry.VerdictInvalid, func(_ *testing.T, l *lab) craft {
			return craft{lab: l, leaf: func(c *x509.Certificate) { c.NotAfter = l.now.Add(-time.Second) }}
		}},
	})
}

// otherName is an alternative name of a kind that Go does not read: as Fulcio
// writes user names.
func otherName(name string) pkix.Extension {
	text, _ := asn1.MarshalWithParams(name, "utf8")
	value, _ := asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 7}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text}})
	var inner asn1.RawValue
	_, _ = asn1.Unmarshal(value, &inner)
	names, _ := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner.Bytes}})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names}
}
