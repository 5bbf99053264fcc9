package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"testing"

	"github.com/digitorus/timestamp"
	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/oci-catalog/caib/pkg/internal/signature"
)

type object = map[string]any

// craft is a keyless signature to be made by hand, so that any part of it can be
// wrong. The zero craft is one that is verified: a bundle 0.3 with an entry of the
// first log.
type craft struct {
	lab    *lab
	legacy bool

	key       crypto.Signer               // of the certificate; a new P-256 key if it is nil
	hash      crypto.Hash                 // of the signature; SHA-256 if it is 0, none for Ed25519
	signed    func(message []byte) []byte // makes the signature instead
	leaf      func(template *x509.Certificate)
	raw       func(leaf *x509.Certificate) *x509.Certificate // replaces the certificate once it was issued
	scts      func(before *x509.Certificate) []byte          // the extension's value instead of the lab's; nil is none
	chain     []*x509.Certificate                            // beside the leaf
	statement func(text string) string
	media     string // of the bundle
	entries   func(entry object) []object
	stamps    []*lab                 // whose authorities stamp it
	edit      func(signature object) // the bundle, or the annotations of a legacy signature
}

// leafOf issues the certificate.
func (c *craft) certificate() *x509.Certificate {
	l := c.lab
	l.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(l.now.UnixNano()), NotBefore: l.now.Add(-minute), NotAfter: l.now.Add(9 * minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(theirs)}},
	}
	template.URIs = []*url.URL{parseURL(l.t, somebody)}
	if c.leaf != nil {
		c.leaf(template)
	}
	before := issue(l.t, template, l.ca, c.key.Public(), l.caKey)
	value := l.sct(before)
	if c.scts != nil {
		value = c.scts(before)
	}
	if value != nil {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value})
	}
	leaf := issue(l.t, template, l.ca, c.key.Public(), l.caKey)
	if c.raw != nil {
		leaf = c.raw(leaf)
	}
	return leaf
}

// make returns the signature of a digest.
func (c craft) make(d digest.Digest) Signature {
	c.lab.t.Helper()
	if c.key == nil {
		c.key = newKey(c.lab.t)
	}
	leaf := c.certificate()
	if c.legacy {
		return c.makeLegacy(d, leaf)
	}
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, typeStatement, d.Encoded(), typeSignature)
	if c.statement != nil {
		payload = c.statement(payload)
	}
	message := dsse.PAE(typeInToto, []byte(payload))
	sig := c.sign(message)
	verifier := encode(certificatePEM(leaf.Raw))
	envelope := mustJSON(object{"payload": []byte(payload), "payloadType": typeInToto, "signatures": []object{{"sig": sig}}})
	proposal := mustJSON(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{
		"proposedContent": object{"envelope": string(envelope), "verifiers": []string{verifier}},
	}})
	material := object{"tlogEntries": c.logged(c.lab.entry(proposal))}
	if c.chain == nil {
		material["certificate"] = object{"rawBytes": leaf.Raw}
	} else {
		all := []object{{"rawBytes": leaf.Raw}}
		for _, one := range c.chain {
			all = append(all, object{"rawBytes": one.Raw})
		}
		material["x509CertificateChain"] = object{"certificates": all}
	}
	if len(c.stamps) > 0 {
		var stamps []object
		for _, by := range c.stamps {
			stamps = append(stamps, object{"signedTimestamp": by.stampOf(sig)})
		}
		material["timestampVerificationData"] = object{"rfc3161Timestamps": stamps}
	}
	media := c.media
	if media == "" {
		media = mediaTypeV03
	}
	bundle := object{"mediaType": media, "verificationMaterial": material, "dsseEnvelope": object{
		"payload": []byte(payload), "payloadType": typeInToto, "signatures": []object{{"sig": sig}},
	}}
	return signature.New(Bundle, c.edited(bundle))
}

func (c craft) makeLegacy(d digest.Digest, leaf *x509.Certificate) Signature {
	payload := mustJSON(object{"optional": nil, "critical": object{
		"identity": object{"docker-reference": "registry.example.com/team/catalog"},
		"image":    object{"docker-manifest-digest": d.String()}, "type": "cosign container image signature",
	}})
	sig := c.sign(payload)
	entry := c.lab.entry(mustJSON(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
		"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(sum256(payload))}},
		"signature": object{"content": sig, "publicKey": object{"content": certificatePEM(leaf.Raw)}},
	}}))
	annotations := object{
		annotationSignature: encode(sig), annotationCertificate: string(certificatePEM(leaf.Raw)),
	}
	for _, one := range c.chain {
		text, _ := annotations[annotationChain].(string)
		annotations[annotationChain] = text + string(certificatePEM(one.Raw))
	}
	id, promise := entry["logId"].(object)["keyId"].([]byte), entry["inclusionPromise"].(object)["signedEntryTimestamp"]
	annotations[annotationBundle] = string(mustJSON(object{"SignedEntryTimestamp": promise, "Payload": object{
		"body": entry["canonicalizedBody"], "integratedTime": c.lab.now.Unix(), "logIndex": 7, "logID": hex.EncodeToString(id),
	}}))
	for _, by := range c.stamps {
		annotations[annotationTimestamp] = string(mustJSON(object{"SignedRFC3161Timestamp": by.stampOf(sig)}))
	}
	if c.edit != nil {
		c.edit(annotations)
		c.edit = nil
	}
	return signature.New(Legacy, c.edited(object{"mediaType": mediaTypeSaved, "payload": payload, "annotations": annotations}))
}

func (c craft) edited(signature object) []byte {
	var tree object
	if err := json.Unmarshal(mustJSON(signature), &tree); err != nil {
		c.lab.t.Fatal(err)
	}
	if c.edit != nil {
		c.edit(tree)
	}
	return mustJSON(tree)
}

func (c craft) sign(message []byte) []byte {
	if c.signed != nil {
		return c.signed(message)
	}
	if _, plain := c.key.(ed25519.PrivateKey); plain {
		return mustSign(c.lab.t, c.key, message, crypto.Hash(0))
	}
	hash := c.hash
	if hash == 0 {
		hash = crypto.SHA256
	}
	return mustSign(c.lab.t, c.key, message, hash)
}

func (c craft) logged(entry object) []object {
	if c.entries != nil {
		return c.entries(entry)
	}
	return []object{entry}
}

// entry is what the first log answers to a proposal, as bundles have it.
func (l *lab) entry(proposal []byte) object {
	l.t.Helper()
	var answer map[string]struct {
		Body         []byte
		Time         int64 `json:"integratedTime"`
		LogID        string
		Verification struct {
			Promise []byte `json:"signedEntryTimestamp"`
			Proof   struct {
				Checkpoint string
				Root       string `json:"rootHash"`
			} `json:"inclusionProof"`
		}
	}
	if err := json.Unmarshal(mustJSON(l.enter(proposal)), &answer); err != nil {
		l.t.Fatal(err)
	}
	for _, one := range answer {
		id, _ := hex.DecodeString(one.LogID)
		root, _ := hex.DecodeString(one.Verification.Proof.Root)
		var body struct{ Kind, APIVersion string }
		if err := json.Unmarshal(one.Body, &body); err != nil {
			l.t.Fatal(err)
		}
		return object{
			"logIndex": "7", "logId": object{"keyId": id}, "kindVersion": object{"kind": body.Kind, "version": body.APIVersion},
			"integratedTime": fmt.Sprint(one.Time), "inclusionPromise": object{"signedEntryTimestamp": one.Verification.Promise},
			"inclusionProof":    object{"logIndex": "0", "treeSize": "1", "rootHash": root, "hashes": []any{}, "checkpoint": object{"envelope": one.Verification.Proof.Checkpoint}},
			"canonicalizedBody": one.Body,
		}
	}
	l.t.Fatal("no entry")
	return nil
}

// stampOf is the authority's answer for a signature.
func (l *lab) stampOf(signature []byte) []byte {
	l.t.Helper()
	query, err := timestamp.CreateRequest(bytes.NewReader(signature), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.stamp(query)
}

func mustJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

func mustSign(t testing.TB, key crypto.Signer, message []byte, hash crypto.SignerOpts) []byte {
	t.Helper()
	sum := message
	if h := hash.HashFunc(); h != 0 {
		hasher := h.New()
		hasher.Write(message)
		sum = hasher.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, sum, hash)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func ecKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
