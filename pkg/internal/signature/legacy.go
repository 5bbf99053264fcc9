package signature

import (
	"crypto/sha256"
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
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/oci-catalog/caib/pkg/internal/referrertag"
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

// LegacyTag is where the legacy signatures of a digest are.
func LegacyTag(d digest.Digest) string { return referrertag.Index(d) + ".sig" }

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
	return New(Legacy, text), err
}

// newPayload is what a legacy signature of d covers: reference is the
// repository, for people; nobody checks it.
func newPayload(reference string, d digest.Digest) ([]byte, error) {
	return json.Marshal(payloadJSON{
		Critical: criticalJSON{Identity: identityJSON{reference}, Image: imageJSON{d.String()}, Type: typePayload},
		Optional: jsontext.Value("null"),
	})
}

func parseLegacy(text []byte) (*Content, error) {
	var saved savedJSON
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	var payload payloadJSON
	if err := json.Unmarshal(saved.Payload, &payload); err != nil {
		return nil, fmt.Errorf("legacy signature: payload: %v", err)
	}
	if payload.Critical.Type != typePayload {
		return nil, fmt.Errorf("legacy signature: payload of type %q", Shorten(payload.Critical.Type))
	}
	c := &Content{Message: saved.Payload, Payload: saved.Payload, subject: payload.covers}
	var err error
	if c.Signature, err = base64.StdEncoding.DecodeString(saved.Annotations[annotationSignature]); err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	certificates, err := parseCertificates(saved.Annotations[annotationCertificate], saved.Annotations[annotationChain])
	if err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	b, err := c.asBundle(certificates, saved.Annotations)
	if err != nil {
		return nil, fmt.Errorf("legacy signature: %v", err)
	}
	return c, c.complete(b, certificates)
}

// covers checks that the payload is a signature of want.
func (p *payloadJSON) covers(want digest.Digest) error {
	if got := p.Critical.Image.Digest; got != want.String() {
		return errOther{Shorten(got)}
	}
	return nil
}

// parseCertificates reads PEM texts.
func parseCertificates(texts ...string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, text := range texts {
		for rest := []byte(strings.TrimSpace(text)); len(rest) > 0; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || len(all) > maxCertificates {
				return nil, fmt.Errorf("its certificates are not a few PEM blocks")
			}
			certificate, err := parseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			all = append(all, certificate)
		}
	}
	return all, nil
}

// asBundle makes a bundle of version 0.1 of a legacy signature: the same
// signature, and the same evidence in another place.
func (c *Content) asBundle(certificates []*x509.Certificate, annotations map[string]string) (*protobundle.Bundle, error) {
	material := &protobundle.VerificationMaterial{}
	if len(certificates) > 0 {
		leaf := &common.X509CertificateChain{Certificates: []*common.X509Certificate{{RawBytes: certificates[0].Raw}}}
		material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: leaf}
	}
	if text := annotations[annotationBundle]; text != "" && text != "null" {
		logged, err := parsePromise(text)
		if err != nil {
			return nil, fmt.Errorf("log entry: %v", err)
		}
		material.TlogEntries = []*rekor.TransparencyLogEntry{logged}
	}
	if text := annotations[annotationTimestamp]; text != "" && text != "null" {
		var stamp legacyTimestampJSON
		if err := json.Unmarshal([]byte(text), &stamp); err != nil {
			return nil, fmt.Errorf("timestamp: %v", err)
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: stamp.Signed}},
		}
	}
	sum := sha256.Sum256(c.Message)
	return &protobundle.Bundle{
		MediaType: mediaTypeV01, VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     c.Signature,
		}},
	}, nil
}

// parsePromise reads the log entry of a legacy signature, which says its kind
// only in its body.
func parsePromise(text string) (*rekor.TransparencyLogEntry, error) {
	var promise promiseJSON
	if err := json.Unmarshal([]byte(text), &promise); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(promise.Payload.LogID)
	if err != nil {
		return nil, err
	}
	var kind bodyKind
	if err := json.Unmarshal(promise.Payload.Body, &kind); err != nil {
		return nil, fmt.Errorf("body: %v", err)
	}
	return &rekor.TransparencyLogEntry{
		LogIndex: promise.Payload.Index, LogId: &common.LogId{KeyId: id}, IntegratedTime: promise.Payload.Time,
		KindVersion:       &rekor.KindVersion{Kind: kind.Kind, Version: kind.Version},
		InclusionPromise:  &rekor.InclusionPromise{SignedEntryTimestamp: promise.Signed},
		CanonicalizedBody: promise.Payload.Body,
	}, nil
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
