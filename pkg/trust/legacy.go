package trust

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The legacy format: the tag sha256-HEX.sig names an image whose layers are
// payloads ("simple signing"), with the signatures in annotations.
const (
	mediaTypePayload = "application/vnd.dev.cosign.simplesigning.v1+json"

	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationChain       = "dev.sigstore.cosign/chain"
	annotationBundle      = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"

	typePayload = "cosign container image signature"
)

// legacyTag is where the legacy signatures of a digest are.
func legacyTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded() + ".sig"
}

type (
	// savedJSON is a legacy signature as a snapshot carries it.
	savedJSON struct {
		MediaType   string            `json:"mediaType"`
		Payload     []byte            `json:"payload"`
		Annotations map[string]string `json:"annotations"`
	}
	payloadJSON struct {
		Critical criticalJSON   `json:"critical"`
		Optional jsontext.Value `json:"optional"`
	}
	criticalJSON struct {
		Identity identityJSON `json:"identity"`
		Image    imageJSON    `json:"image"`
		Type     string       `json:"type"`
	}
	identityJSON struct {
		Reference string `json:"docker-reference"`
	}
	imageJSON struct {
		Digest string `json:"docker-manifest-digest"`
	}
	// promiseJSON is the log entry in annotationBundle.
	promiseJSON struct {
		Signed  []byte `json:"SignedEntryTimestamp"`
		Payload struct {
			Body  []byte `json:"body"`
			Time  int64  `json:"integratedTime"`
			Index int64  `json:"logIndex"`
			LogID string `json:"logID"`
		} `json:"Payload"`
	}
	legacyTimestampJSON struct {
		Signed []byte `json:"SignedRFC3161Timestamp"`
	}
)

// newLegacy makes the signature of one layer.
func newLegacy(payload []byte, annotations map[string]string) (Signature, error) {
	kept := map[string]string{}
	for _, key := range []string{annotationSignature, annotationCertificate, annotationChain, annotationBundle, annotationTimestamp} {
		if value, ok := annotations[key]; ok {
			kept[key] = value
		}
	}
	text, err := json.Marshal(savedJSON{MediaType: mediaTypeSaved, Payload: payload, Annotations: kept}, json.Deterministic(true))
	if err == nil && len(text) > maxSignature {
		err = fmt.Errorf("a signature of %d bytes, more than the %d allowed", len(text), maxSignature)
	}
	return Signature{Legacy, text}, err
}

// newPayload is what a legacy signature of d covers: reference is the
// repository, for people; nobody checks it.
func newPayload(reference string, d digest.Digest) ([]byte, error) {
	return json.Marshal(payloadJSON{
		Critical: criticalJSON{Identity: identityJSON{reference}, Image: imageJSON{d.String()}, Type: typePayload},
		Optional: jsontext.Value("null"),
	})
}

func openLegacy(text []byte, want digest.Digest) (*material, error) {
	var saved savedJSON
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	var payload payloadJSON
	if err := json.Unmarshal(saved.Payload, &payload); err != nil {
		return nil, fmt.Errorf("legacy signature: payload: %v", err)
	}
	if payload.Critical.Type != typePayload {
		return nil, fmt.Errorf("legacy signature: payload of type %q", shorten(payload.Critical.Type))
	}
	if got := payload.Critical.Image.Digest; got != want.String() {
		return nil, errOther{shorten(got)}
	}
	m := &material{message: saved.Payload}
	var err error
	if m.signature, err = base64.StdEncoding.DecodeString(saved.Annotations[annotationSignature]); err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	for _, key := range []string{annotationCertificate, annotationChain} {
		if err := m.addPEM(saved.Annotations[key]); err != nil {
			return nil, fmt.Errorf("legacy signature: %v", err)
		}
	}
	return m, m.addEvidence(saved.Annotations)
}

// addPEM adds the certificates of a PEM text. Roots in it are of no use, and do
// no harm.
func (m *material) addPEM(text string) error {
	for rest := []byte(strings.TrimSpace(text)); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || len(m.certificates) == maxCertificates {
			return fmt.Errorf("its certificates are not a few PEM blocks")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		m.certificates = append(m.certificates, certificate)
	}
	return nil
}

// addEvidence adds the log entry and the timestamp.
func (m *material) addEvidence(annotations map[string]string) error {
	if text := annotations[annotationBundle]; text != "" && text != "null" {
		var promise promiseJSON
		if err := json.Unmarshal([]byte(text), &promise); err != nil {
			return fmt.Errorf("legacy signature: log entry: %v", err)
		}
		id, err := hex.DecodeString(promise.Payload.LogID)
		if err != nil {
			return fmt.Errorf("legacy signature: log entry: %v", err)
		}
		m.entries = []logEntry{{
			Index: integer(promise.Payload.Index), LogID: logIDJSON{id}, Time: integer(promise.Payload.Time),
			Promise: &inclusionPromise{promise.Signed}, Body: promise.Payload.Body,
		}}
	}
	if text := annotations[annotationTimestamp]; text != "" && text != "null" {
		var timestamp legacyTimestampJSON
		if err := json.Unmarshal([]byte(text), &timestamp); err != nil {
			return fmt.Errorf("legacy signature: timestamp: %v", err)
		}
		m.timestamps = [][]byte{timestamp.Signed}
	}
	return nil
}

// legacyConfig is the configuration of the image that holds legacy signatures:
// cosign 2's, which lists its layers as those of a file system.
func legacyConfig(layers []ocispec.Descriptor) ([]byte, error) {
	digests := make([]digest.Digest, len(layers))
	history := make([]map[string]string, len(layers))
	for i, layer := range layers {
		digests[i], history[i] = layer.Digest, map[string]string{"created": "0001-01-01T00:00:00Z"}
	}
	return json.Marshal(map[string]any{
		"architecture": "", "created": "0001-01-01T00:00:00Z", "history": history, "os": "",
		"rootfs": map[string]any{"type": "layers", "diff_ids": digests}, "config": map[string]any{},
	}, json.Deterministic(true))
}
