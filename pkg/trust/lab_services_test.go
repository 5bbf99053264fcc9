package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// idToken is an identity token as a pipeline gets one; the lab believes it.
func idToken(subject, issuer string) string {
	claims, _ := json.Marshal(map[string]string{"sub": subject, "iss": issuer})
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
}

func (l *lab) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	var answer any
	switch r.URL.Path {
	case "/api/v2/signingCert":
		_ = json.NewEncoder(w).Encode(l.certify(r, body))
		return
	case "/api/v1/log/entries":
		answer = l.enter(body)
		w.Header().Set("ETag", labUUID)
	case "/api/v2/log/entries":
		answer = l.enterV2(body)
	case "/stamp":
		_, _ = w.Write(l.stamp(body))
		return
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer)
}

// certify is Fulcio: it checks that the bearer has the key.
func (l *lab) certify(r *http.Request, body []byte) any {
	var request struct {
		Request struct {
			Key   struct{ Content string } `json:"publicKey"`
			Proof []byte                   `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		l.t.Error(err)
		return nil
	}
	keys, err := ParsePublicKeys("", []byte(request.Request.Key.Content))
	if err != nil {
		l.t.Error(err)
		return nil
	}
	parts := bytes.Split([]byte(r.Header.Get("Authorization")), []byte("."))
	text, _ := base64.RawURLEncoding.DecodeString(string(parts[1]))
	var claims struct{ Sub, Iss string }
	if err := json.Unmarshal(text, &claims); err != nil {
		l.t.Error(err)
	}
	if !signature.Verifies(keys[0].Key, []byte(claims.Sub), request.Request.Proof) {
		l.t.Error("the bearer of the token does not have the key")
	}
	leaf := l.certificate(keys[0].Key, claims.Sub, claims.Iss)
	chain := []string{string(certificatePEM(leaf.Raw)), string(certificatePEM(l.ca.Raw)), string(certificatePEM(l.root.Raw))}
	return map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}}
}

// certificate issues a certificate for a key, with a timestamp of the
// certificate log in it.
func (l *lab) certificate(key crypto.PublicKey, subject, issuer string) *x509.Certificate {
	l.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(l.now.UnixNano()), NotBefore: l.now.Add(-time.Minute), NotAfter: l.now.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)}},
	}
	if parsed, err := url.Parse(subject); err == nil && parsed.Scheme != "" {
		template.URIs = []*url.URL{parsed}
	} else {
		template.EmailAddresses = []string{subject}
	}
	before := issue(l.t, template, l.ca, key, l.caKey)
	if l.noSCT {
		return before
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: l.sct(before),
	})
	return issue(l.t, template, l.ca, key, l.caKey)
}

// sct is the extension with the certificate log's promise to hold a
// certificate, which does not have the extension yet.
func (l *lab) sct(before *x509.Certificate) []byte {
	l.t.Helper()
	return sctList(l.t, l.signedSCT(before))
}

func (l *lab) signedSCT(before *x509.Certificate) *ct.SignedCertificateTimestamp {
	l.t.Helper()
	var issuer [sha256.Size]byte
	copy(issuer[:], sum256(l.ca.RawSubjectPublicKeyInfo))
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, Timestamp: uint64(l.now.UnixMilli())}
	copy(sct.LogID.KeyID[:], keyID(l.t, l.ctKey))
	if l.ctName != nil {
		copy(sct.LogID.KeyID[:], l.ctName)
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{IssuerKeyHash: issuer, TBSCertificate: before.RawTBSCertificate},
		},
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	signature, err := tls.CreateSignature(*l.ctKey, tls.SHA256, input)
	if err != nil {
		l.t.Fatal(err)
	}
	sct.Signature = ct.DigitallySigned(signature)
	return &sct
}

func sctList(t testing.TB, scts ...*ct.SignedCertificateTimestamp) []byte {
	t.Helper()
	list, err := x509util.MarshalSCTsIntoSCTList(scts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tls.Marshal(ctx509.SignedCertificateTimestampList{SCTList: list.SCTList})
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// sign makes a signature with the hash that goes with the kind of the key.
func (l *lab) sign(key crypto.Signer, message []byte) []byte {
	l.t.Helper()
	if _, hash := keyDetails(key.Public()); hash != 0 {
		return l.signHashed(key, message, hash)
	}
	signature, err := key.Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		l.t.Fatal(err)
	}
	return signature
}

func (l *lab) signHashed(key crypto.Signer, message []byte, hash crypto.Hash) []byte {
	l.t.Helper()
	signature, err := key.Sign(rand.Reader, hashed(message, hash), hash)
	if err != nil {
		l.t.Fatal(err)
	}
	return signature
}

func hashed(message []byte, hash crypto.Hash) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

func (l *lab) logID() []byte {
	if l.logName != nil {
		return l.logName
	}
	return keyID(l.t, l.logKey)
}

// checkpoint is that of a log with one entry, signed as a note by the log's
// host: with the start of the key's hash for EC, of the note signer's for
// Ed25519.
func (l *lab) checkpoint(origin string, body []byte) (root []byte, note string) {
	root = rfc6962.DefaultHasher.HashLeaf(body)
	text := fmt.Sprintf("%s\n1\n%s\n", origin, encode(root))
	signature := append(keyID(l.t, l.logKey)[:4:4], l.sign(l.logKey, []byte(text))...)
	return root, fmt.Sprintf("%s\n— %s %s\n", text, labHost, encode(signature))
}

// labUUID is the name of the one entry of the log of version 1.
const labUUID = "108e9186e8c5677a0000000000000000000000000000000000000000000000000000000000000007"

// enter is Rekor, version 1: it rewrites what is proposed into its own form.
func (l *lab) enter(proposed []byte) any {
	var p struct {
		Kind string
		Spec struct {
			Proposed struct {
				Envelope  string
				Verifiers []string
			} `json:"proposedContent"`
		}
	}
	if err := json.Unmarshal(proposed, &p); err != nil {
		l.t.Error(err)
	}
	body := proposed
	if p.Kind == "dsse" {
		var e envelope
		if err := json.Unmarshal([]byte(p.Spec.Proposed.Envelope), &e); err != nil {
			l.t.Error(err)
		}
		body, _ = json.Marshal(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{
			"envelopeHash": object{"algorithm": "sha256", "value": hex.EncodeToString(sum256([]byte(p.Spec.Proposed.Envelope)))},
			"payloadHash":  object{"algorithm": "sha256", "value": hex.EncodeToString(sum256(e.Payload))},
			"signatures":   []object{{"signature": e.Signatures[0].Sig, "verifier": p.Spec.Proposed.Verifiers[0]}},
		}})
	}
	id := hex.EncodeToString(l.logID())
	promise := fmt.Sprintf(`{"body":%q,"integratedTime":%d,"logID":%q,"logIndex":7}`, encode(body), l.now.Unix(), id)
	root, note := l.checkpoint("lab - 42", body)
	return object{labUUID: object{
		"body": body, "integratedTime": l.now.Unix(), "logID": id, "logIndex": 7,
		"verification": object{
			"signedEntryTimestamp": l.sign(l.logKey, []byte(promise)),
			"inclusionProof":       object{"checkpoint": note, "hashes": []string{}, "logIndex": 0, "rootHash": hex.EncodeToString(root), "treeSize": 1},
		},
	}}
}

// enterV2 is Rekor, version 2: no promise, and no time.
func (l *lab) enterV2(proposed []byte) any {
	var p struct {
		Request struct {
			Digest    string
			Signature struct {
				Content  string `json:"content"`
				Verifier object `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.Unmarshal(proposed, &p); err != nil {
		l.t.Error(err)
	}
	signature := p.Request.Signature
	algorithm := "SHA2_256"
	switch signature.Verifier["keyDetails"] {
	case "PKIX_ECDSA_P384_SHA_384":
		algorithm = "SHA2_384"
	case "PKIX_ECDSA_P521_SHA_512", "PKIX_ED25519_PH":
		algorithm = "SHA2_512"
	}
	body, _ := json.Marshal(object{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": object{"hashedRekordV002": object{
		"data": object{"algorithm": algorithm, "digest": p.Request.Digest}, "signature": object{"content": signature.Content, "verifier": signature.Verifier},
	}}})
	root, note := l.checkpoint(labHost, body)
	return object{
		"logIndex": "0", "logId": object{"keyId": l.logID()}, "kindVersion": object{"kind": "hashedrekord", "version": "0.0.2"},
		"integratedTime": "0", "canonicalizedBody": body,
		"inclusionProof": object{"logIndex": "0", "rootHash": root, "treeSize": "1", "hashes": []string{}, "checkpoint": object{"envelope": note}},
	}
}

func (l *lab) stamp(query []byte) []byte {
	request, err := timestamp.ParseRequest(query)
	if err != nil {
		l.t.Error(err)
		return nil
	}
	at := l.now
	if !l.stampAt.IsZero() {
		at = l.stampAt
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: at, Policy: asn1.ObjectIdentifier{1, 2, 3},
		SerialNumber: big.NewInt(5), AddTSACertificate: request.Certificates,
	}
	answer, err := stamp.CreateResponseWithOpts(l.stamper, l.stampKey, crypto.SHA256)
	if err != nil {
		l.t.Error(err)
	}
	return answer
}
