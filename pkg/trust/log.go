package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// logEntry is an entry of a transparency log (Rekor), as bundles have it.
type logEntry struct {
	Index   integer           `json:"logIndex"`
	LogID   logIDJSON         `json:"logId"`
	Kind    *kindJSON         `json:"kindVersion,omitempty"`
	Time    integer           `json:"integratedTime,omitempty"` // Unix seconds; only a promise proves it
	Promise *inclusionPromise `json:"inclusionPromise,omitempty"`
	Proof   *inclusionProof   `json:"inclusionProof,omitempty"`
	Body    []byte            `json:"canonicalizedBody"`
}

type (
	logIDJSON struct {
		KeyID []byte `json:"keyId"`
	}
	kindJSON struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	inclusionPromise struct {
		Signed []byte `json:"signedEntryTimestamp"`
	}
	inclusionProof struct {
		Index      integer  `json:"logIndex"`
		RootHash   []byte   `json:"rootHash"`
		Size       integer  `json:"treeSize"`
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	}
)

// errStranger is evidence of a service that the trusted root does not name.
var errStranger = errors.New("the trusted root does not name the log that has it")

// verify checks that a log of the root holds the entry, and that the entry is
// about this signature. The time is zero unless the log promised it.
func (e *logEntry) verify(root *Root, m *material) (time.Time, error) {
	log, known := root.logs[hex.EncodeToString(e.LogID.KeyID)]
	if !known {
		return time.Time{}, errStranger
	}
	if e.Proof == nil && (m.proofs || e.Promise == nil) {
		return time.Time{}, errors.New("the log's entry has no proof")
	}
	body, err := parseBody(e.Body)
	if err != nil {
		return time.Time{}, err
	}
	if err := body.matches(m); err != nil {
		return time.Time{}, err
	}
	var at time.Time
	if e.Promise != nil {
		at = unix(e.Time)
		if err := e.promised(log, at); err != nil {
			return time.Time{}, err
		}
	}
	if e.Proof != nil {
		if err := e.included(log); err != nil {
			return time.Time{}, err
		}
	}
	return at, nil
}

// promised checks the log's promise to include the entry. It covers these four
// members, in canonical form.
func (e *logEntry) promised(log logKey, at time.Time) error {
	promise := fmt.Sprintf(`{"body":%q,"integratedTime":%d,"logID":%q,"logIndex":%d}`,
		encode(e.Body), int64(e.Time), hex.EncodeToString(e.LogID.KeyID), int64(e.Index))
	if !log.valid.contains(at) {
		return errors.New("the log's key was not valid at that time")
	}
	if !verifies(log.key, []byte(promise), e.Promise.Signed) {
		return errors.New("the log's promise is not by the log")
	}
	return nil
}

// treeID is the end of the origin of a checkpoint that the first version of
// the log makes.
var treeID = regexp.MustCompile(` - [0-9]+$`)

// included checks the proof that the entry is in the tree that a checkpoint of
// the log stands for. The root hash is the checkpoint's. Where in the tree the
// entry stands is the proof's word: a leaf is no inner node, so what leads from
// this leaf to that root proves that the tree has the leaf.
func (e *logEntry) included(log logKey) error {
	text, signatures, found := strings.Cut(e.Proof.Checkpoint.Envelope, "\n\n")
	lines := strings.Split(text, "\n")
	if !found || len(lines) < 3 || len(e.Proof.Hashes) > 64 {
		return errors.New("the log's checkpoint is malformed")
	}
	if !treeID.MatchString(lines[0]) && lines[0] != log.origin {
		return errors.New("the checkpoint is another log's")
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return errors.New("the log's checkpoint has no root hash")
	}
	if !signedNote(log, []byte(text+"\n"), signatures) {
		return errors.New("the log's checkpoint is not by the log")
	}
	if e.Proof.Index < 0 || e.Proof.Size < 0 {
		return errors.New("the log's proof is malformed")
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(e.Body)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(e.Proof.Index), uint64(e.Proof.Size), leaf, e.Proof.Hashes, hash); err != nil {
		return fmt.Errorf("the log's proof does not hold: %v", err)
	}
	return nil
}

// signedNote tells whether one of a note's signature lines is by the log: a
// dash, a name, and base64 of four bytes of key hash and the signature.
func signedNote(log logKey, text []byte, signatures string) bool {
	lines := strings.Split(signatures, "\n")
	for _, line := range lines[:min(len(lines), 16)] {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "—" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(fields[2])
		if err == nil && len(raw) > 4 && verifies(log.key, text, raw[4:]) {
			return true
		}
	}
	return false
}

// bodyJSON is the content of an entry, of the kinds that hold signatures:
// hashedrekord 0.0.1 and 0.0.2, dsse 0.0.1.
type bodyJSON struct {
	Version string `json:"apiVersion"`
	Kind    string `json:"kind"`
	Spec    struct {
		Data struct {
			Hash hashJSON `json:"hash"`
		} `json:"data"`
		Signature struct {
			Content   []byte `json:"content"`
			PublicKey struct {
				Content []byte `json:"content"`
			} `json:"publicKey"`
		} `json:"signature"`
		PayloadHash hashJSON `json:"payloadHash"`
		Signatures  []struct {
			Signature []byte `json:"signature"`
			Verifier  []byte `json:"verifier"`
		} `json:"signatures"`
		V002 *struct {
			Data struct {
				Algorithm string `json:"algorithm"`
				Digest    []byte `json:"digest"`
			} `json:"data"`
			Signature struct {
				Content  []byte `json:"content"`
				Verifier struct {
					Certificate *rawJSON `json:"x509Certificate"`
					PublicKey   *rawJSON `json:"publicKey"`
				} `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordV002"`
	} `json:"spec"`
}

type hashJSON struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

// logged is what an entry is about.
type logged struct {
	signature []byte
	verifier  []byte // DER of the certificate
	hash      []byte // SHA-256
	ofPayload bool   // hash is of an envelope's payload, else of all that was signed
}

func parseBody(text []byte) (*logged, error) {
	var body bodyJSON
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("the log's entry: %v", err)
	}
	spec := &body.Spec
	l := &logged{}
	var sum hashJSON
	switch kind := body.Kind + " " + body.Version; {
	case kind == "hashedrekord 0.0.1":
		l.signature, sum = spec.Signature.Content, spec.Data.Hash
		l.verifier = certificateDER(spec.Signature.PublicKey.Content)
	case kind == "dsse 0.0.1" && len(spec.Signatures) == 1:
		l.signature, sum, l.ofPayload = spec.Signatures[0].Signature, spec.PayloadHash, true
		l.verifier = certificateDER(spec.Signatures[0].Verifier)
	case kind == "hashedrekord 0.0.2" && spec.V002 != nil && spec.V002.Signature.Verifier.Certificate != nil:
		v := spec.V002
		l.signature, l.verifier, l.hash = v.Signature.Content, v.Signature.Verifier.Certificate.RawBytes, v.Data.Digest
		if v.Data.Algorithm != "SHA2_256" {
			return nil, fmt.Errorf("the log's entry has a hash of kind %q", shorten(v.Data.Algorithm))
		}
		return l, nil
	default:
		return nil, fmt.Errorf("the log's entry is of kind %q", shorten(kind))
	}
	var err error
	if l.hash, err = hex.DecodeString(sum.Value); err != nil || sum.Algorithm != "sha256" {
		return nil, errors.New("the log's entry has no SHA-256 hash")
	}
	return l, nil
}

func certificateDER(text []byte) []byte {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	return block.Bytes
}

// matches checks that an entry is about this signature, certificate and
// content, and no other.
func (l *logged) matches(m *material) error {
	content := m.message
	if l.ofPayload {
		if m.envelope == nil {
			return errors.New("the log's entry is about an envelope")
		}
		content = m.envelope.Payload
	}
	var leaf *x509.Certificate
	if len(m.certificates) > 0 {
		leaf = m.certificates[0]
	}
	switch {
	case len(l.signature) == 0 || !bytes.Equal(l.signature, m.signature):
		return errors.New("the log's entry is about another signature")
	case leaf == nil || !bytes.Equal(l.verifier, leaf.Raw):
		return errors.New("the log's entry is about another certificate")
	case !bytes.Equal(l.hash, sum256(content)):
		return errors.New("the log's entry is about other content")
	}
	return nil
}
