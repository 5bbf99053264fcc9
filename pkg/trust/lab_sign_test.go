package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// labKeys are keys of each kind that people sign with.
func labKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	keys := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
	}
	_, plain, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys["Ed25519"] = plain
	if keys["RSA-2048"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	return keys
}

// bundle is what a client of the lab writes that signs a digest with a key of
// any kind, certified for somebody: a bundle, written without the code that is
// under test. logVersion 0 is no log.
func (l *lab) bundle(key crypto.Signer, d digest.Digest, logVersion int, stamped bool) Signature {
	l.t.Helper()
	leaf := l.certificate(key.Public(), somebody, theirs)
	e := newEnvelope(d)
	sig := l.sign(key, e.pae())
	e.Signatures = []envelopeSignature{{Sig: sig}}
	material := object{"certificate": object{"rawBytes": leaf.Raw}}
	if stamped {
		material["timestampVerificationData"] = object{"rfc3161Timestamps": []object{{"signedTimestamp": l.stampOf(sig)}}}
	}
	switch logVersion {
	case 1:
		envelope, _ := json.Marshal(e)
		proposed, _ := json.Marshal(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{"proposedContent": object{
			"envelope": string(envelope), "verifiers": []string{encode(certificatePEM(leaf.Raw))},
		}}})
		material["tlogEntries"] = []object{l.entry(proposed)}
	case 2:
		kind, hash := keyDetails(key.Public())
		if hash == 0 {
			kind, hash = "PKIX_ED25519_PH", crypto.SHA512
		}
		proposed, _ := json.Marshal(object{"hashedRekordRequestV002": object{"digest": hashed(e.pae(), hash), "signature": object{
			"content": sig, "verifier": object{"keyDetails": kind, "x509Certificate": object{"rawBytes": leaf.Raw}},
		}}})
		material["tlogEntries"] = []any{l.enterV2(proposed)}
	}
	text, err := json.Marshal(object{"mediaType": mediaTypeV03, "verificationMaterial": material, "dsseEnvelope": e})
	if err != nil {
		l.t.Fatal(err)
	}
	return signature.New(Bundle, text)
}

// What the lab signs with keys of each kind is verified, with both versions of
// the log and a log key of each kind.
func TestLab(t *testing.T) {
	d := digest.FromString("revision")
	keys := labKeys(t)
	for name, key := range keys {
		for version := range 3 {
			l := newLab(t)
			l.noLog = version == 0
			if version == 2 && name == "P-256" {
				l.logKey = keys["Ed25519"]
			}
			check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, l.bundle(key, d, version, version != 1))
			if check.Result != entry.VerdictVerified {
				t.Errorf("%s, log version %d: %+v", name, version, check)
			}
		}
	}
}

// envelope is a DSSE envelope.
type envelope struct {
	Payload     []byte              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	Sig []byte `json:"sig"`
}

func newEnvelope(d digest.Digest) *envelope {
	return &envelope{Payload: mustJSON(object{"_type": typeStatement, "subject": []object{{"digest": object{"sha256": d.Encoded()}}}, "predicateType": typeSignature, "predicate": object{}}), PayloadType: typeInToto}
}

func (e *envelope) pae() []byte { return dsse.PAE(e.PayloadType, e.Payload) }
