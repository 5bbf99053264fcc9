package trust

import (
	"context"
	"crypto"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Sign makes a signature of a digest. reference is the repository that it
// stands in; only the legacy format notes it, for people. services witness the
// signature; nil is none for a key, and its own for a keyless signer. What the
// signer's trusted root does not verify is an entry.ErrUntrusted.
func Sign(ctx context.Context, signer Signer, services *Services, format Format, d digest.Digest, reference string) (Signature, error) {
	content, err := contentOf(format, d, reference)
	if err != nil {
		return Signature{}, err
	}
	var certificate sign.CertificateProvider
	certified, isKeyless := signer.(*Keyless)
	if isKeyless {
		services, certificate = certified.options.Services, certificates{certified}
	}
	if err := services.checkUse(format, signer.PublicKey().key); err != nil {
		return Signature{}, err
	}
	made, err := services.bundle(ctx, content, &keypair{Signer: signer}, certificate)
	if err != nil {
		return Signature{}, fmt.Errorf("sign %s: %w", d, err)
	}
	signature, err := pack(format, content, made)
	if err == nil && isKeyless {
		err = certified.verify(d, signature)
	}
	if err != nil {
		return Signature{}, fmt.Errorf("sign %s: %w", d, err)
	}
	return signature, nil
}

// contentOf is what a format signs of a digest.
func contentOf(format Format, d digest.Digest, reference string) (sign.Content, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("%w: sign: %q is not a SHA-256 digest", entry.ErrInvalid, shorten(d.String()))
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
		typeStatement, d.Algorithm(), d.Encoded(), typeSignature)
}

// keypair is a signer as sigstore's packages want one.
type keypair struct {
	Signer
	failed error // why it did not sign
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}
func (k *keypair) GetHint() []byte                { return []byte(k.PublicKey().Hint()) }
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.PublicKey().key }
func (k *keypair) GetPublicKeyPem() (string, error) {
	return string(k.PublicKey().PEM()), nil
}

func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	details, err := signature.GetDefaultAlgorithmDetails(k.PublicKey().key)
	if err != nil {
		return protocommon.PublicKeyDetails_PUBLIC_KEY_DETAILS_UNSPECIFIED
	}
	return details.GetSignatureAlgorithm()
}

// GetKeyAlgorithm is that of the keys of keyless signers; nothing asks for it
// of others.
func (k *keypair) GetKeyAlgorithm() string { return "ECDSA" }

// SignData signs, and checks the signature before anybody is shown it: a key
// may be of a plugin.
func (k *keypair) SignData(ctx context.Context, data []byte) (made, sum []byte, err error) {
	made, err = k.Sign(ctx, data)
	if err == nil && !k.PublicKey().verifies(data, made) {
		err = fmt.Errorf("%w: the signer's public key does not check what it signed", entry.ErrInvalid)
	}
	k.failed = err
	return made, sum256(data), err
}

// pack writes what was signed in a format.
func pack(format Format, content sign.Content, made *protobundle.Bundle) (Signature, error) {
	if format == Legacy {
		return packLegacy(content.PreAuthEncoding(), made)
	}
	text, err := protojson.Marshal(made)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
	}
	value := jsontext.Value(text)
	err = value.Compact() // protojson spaces its output at random
	return newSignature(Bundle, value), err
}

// packLegacy writes a bundle of a payload as annotations, which hold one log
// entry and one timestamp.
func packLegacy(payload []byte, made *protobundle.Bundle) (Signature, error) {
	annotations := map[string]string{annotationSignature: encode(made.GetMessageSignature().GetSignature())}
	material := made.GetVerificationMaterial()
	if leaf := material.GetCertificate().GetRawBytes(); leaf != nil {
		annotations[annotationCertificate] = string(certificatePEM(leaf))
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

// Signed reports whether a signer has signed a digest before, in a format: whether
// its key checks one of the signatures there. A keyless signer has a new key
// each time, and never has; what certificates say is not believed here. Only
// signatures of the format are looked for. It is for who is going to write one:
// where the registry will not say whether there are any, there are none, and
// writing shows what it lets happen.
func Signed(ctx context.Context, store registry.Repository, d digest.Digest, format Format, signer Signer) (bool, error) {
	f := &finder{store: store, subject: d, writer: store}
	look := f.bundles
	if format == Legacy {
		look = f.legacy
	}
	err := look(ctx)
	for _, signature := range f.found {
		m, failed := signature.open(d)
		if failed == nil && signature.Format == format && signer.PublicKey().verifies(m.message, m.signature) {
			return true, nil
		}
	}
	return false, err
}

// IsKeyless reports whether a signer has a certificate instead of a lasting key.
func IsKeyless(signer Signer) bool {
	_, certified := signer.(*Keyless)
	return certified
}

// Describe says in a few words who signs.
func Describe(signer Signer) string {
	if k, ok := signer.(*Keyless); ok {
		if subject := k.identity().Subject; subject != "" {
			return "identity " + printable(subject)
		}
		return "a certificate"
	}
	return signer.PublicKey().String()
}
