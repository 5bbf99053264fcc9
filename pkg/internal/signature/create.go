package signature

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oci-catalog/caib/pkg/entry"
)

// NewContent returns what a format signs of a digest. reference is the
// repository; only the legacy format notes it, for people.
func NewContent(format Format, d digest.Digest, reference string) (sign.Content, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("%w: sign: %q is not a SHA-256 digest", entry.ErrInvalid, Shorten(d.String()))
	}
	switch format {
	case Bundle:
		return &sign.DSSEData{Data: newStatement(d), PayloadType: typeInToto}, nil
	case Legacy:
		payload, err := newPayload(reference, d)
		return &sign.PlainData{Data: payload}, err
	}
	return nil, fmt.Errorf("%w: signature format %q: want %s or %s", entry.ErrInvalid, format, Bundle, Legacy)
}

// newStatement is what a bundle of a digest signs: the statement that cosign 3
// writes, byte for byte.
func newStatement(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"_type":%q,"subject":[{"digest":{%q:%q},"annotations":{}}],"predicateType":%q,"predicate":{}}`,
		typeStatement, d.Algorithm(), d.Encoded(), PredicateType)
}

// Pack writes what was signed, and what proves it, in a format.
func Pack(format Format, content sign.Content, made *protobundle.Bundle) (Signature, error) {
	if format == Legacy {
		return packLegacy(content.PreAuthEncoding(), made)
	}
	text, err := protojson.Marshal(made)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
	}
	value := jsontext.Value(text)
	err = value.Compact() // protojson spaces its output at random
	return New(Bundle, value), err
}

// packLegacy writes a bundle of a payload as annotations, which hold one log
// entry and one timestamp.
func packLegacy(payload []byte, made *protobundle.Bundle) (Signature, error) {
	annotations := map[string]string{annotationSignature: base64.StdEncoding.EncodeToString(made.GetMessageSignature().GetSignature())}
	material := made.GetVerificationMaterial()
	if leaf := material.GetCertificate().GetRawBytes(); leaf != nil {
		annotations[annotationCertificate] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}))
	}
	if logged := material.GetTlogEntries(); len(logged) > 0 {
		e := logged[0]
		promise := promiseJSON{Signed: e.GetInclusionPromise().GetSignedEntryTimestamp()}
		promise.Payload.Body, promise.Payload.Time = e.GetCanonicalizedBody(), e.GetIntegratedTime()
		promise.Payload.Index, promise.Payload.LogID = e.GetLogIndex(), hex.EncodeToString(e.GetLogId().GetKeyId())
		text, err := json.Marshal(promise)
		if err != nil {
			return Signature{}, err
		}
		annotations[annotationBundle] = string(text)
	}
	if stamps := material.GetTimestampVerificationData().GetRfc3161Timestamps(); len(stamps) > 0 {
		text, err := json.Marshal(legacyTimestampJSON{stamps[0].GetSignedTimestamp()})
		if err != nil {
			return Signature{}, err
		}
		annotations[annotationTimestamp] = string(text)
	}
	return newLegacy(payload, annotations)
}
