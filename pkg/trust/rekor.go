package trust

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

// log enters a signature into a transparency log.
func (s *Services) log(ctx context.Context, at service, verifier []byte, m *material) (*logEntry, error) {
	text, err := proposal(at.Version, verifier, m)
	if err != nil {
		return nil, err
	}
	answer, err := s.post(ctx, "transparency log", fmt.Sprintf("%s/api/v%d/log/entries", strings.TrimSuffix(at.URL, "/"), at.Version), "application/json", "", text)
	if err != nil {
		return nil, err
	}
	e := new(logEntry)
	if at.Version == 1 {
		e, err = firstEntry(answer)
	} else {
		err = json.Unmarshal(answer, e)
	}
	if err != nil {
		return nil, fmt.Errorf("transparency log %s: %w: %v", host(at.URL), entry.ErrUnreachable, err)
	}
	return e, nil
}

// proposal is what a log is asked to enter.
func proposal(version int, verifier []byte, m *material) ([]byte, error) {
	type object = map[string]any
	hash := sum256(m.message)
	switch {
	case version == 2:
		block, _ := pem.Decode(verifier)
		v := object{"keyDetails": "PKIX_ECDSA_P256_SHA_256", "publicKey": object{"rawBytes": encode(block.Bytes)}}
		if len(m.certificates) > 0 {
			v = object{"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": object{"rawBytes": encode(block.Bytes)}}
		}
		return json.Marshal(object{"hashedRekordRequestV002": object{
			"digest": encode(hash), "signature": object{"content": encode(m.signature), "verifier": v},
		}})
	case m.envelope != nil:
		signed := *m.envelope
		signed.Signatures = []envelopeSignature{{Sig: m.signature}}
		envelope, err := json.Marshal(signed)
		if err != nil {
			return nil, err
		}
		return json.Marshal(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{
			"proposedContent": object{"envelope": string(envelope), "verifiers": []string{encode(verifier)}},
		}})
	}
	return json.Marshal(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
		"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(hash)}},
		"signature": object{"content": encode(m.signature), "publicKey": object{"content": encode(verifier)}},
	}})
}

// firstEntry reads the answer of a log of version 1: one entry, by its ID.
func firstEntry(answer []byte) (*logEntry, error) {
	var entries map[string]struct {
		Body         []byte `json:"body"`
		Time         int64  `json:"integratedTime"`
		LogID        string `json:"logID"`
		Index        int64  `json:"logIndex"`
		Verification struct {
			Signed []byte `json:"signedEntryTimestamp"`
			Proof  *struct {
				Checkpoint string   `json:"checkpoint"`
				Hashes     []string `json:"hashes"`
				Index      int64    `json:"logIndex"`
				Root       string   `json:"rootHash"`
				Size       int64    `json:"treeSize"`
			} `json:"inclusionProof"`
		} `json:"verification"`
	}
	if err := json.Unmarshal(answer, &entries); err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("%d entries in its answer, want one", len(entries))
	}
	for _, found := range entries {
		id, err := hex.DecodeString(found.LogID)
		if err != nil {
			return nil, err
		}
		var body bodyKind
		if err := json.Unmarshal(found.Body, &body); err != nil {
			return nil, err
		}
		e := &logEntry{
			Index: integer(found.Index), LogID: logIDJSON{id}, Time: integer(found.Time), Body: found.Body,
			Kind: &kindJSON{body.Kind, body.Version}, Promise: &inclusionPromise{found.Verification.Signed},
		}
		if p := found.Verification.Proof; p != nil {
			e.Proof = &inclusionProof{Index: integer(p.Index), Size: integer(p.Size)}
			e.Proof.Checkpoint.Envelope = p.Checkpoint
			if e.Proof.RootHash, err = hex.DecodeString(p.Root); err != nil {
				return nil, err
			}
			for _, text := range p.Hashes {
				hash, err := hex.DecodeString(text)
				if err != nil {
					return nil, err
				}
				e.Proof.Hashes = append(e.Proof.Hashes, hash)
			}
		}
		return e, nil
	}
	return nil, nil
}

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
