package trust

import (
	"encoding/base64"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// The words of cosign's formats, as others write them.
const (
	mediaTypeV01     = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	mediaTypeV03     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	mediaTypeSaved   = "application/vnd.caib.catalog.simplesigning.v1+json"
	mediaTypePayload = "application/vnd.dev.cosign.simplesigning.v1+json"
	typeInToto       = "application/vnd.in-toto+json"
	typeStatement    = "https://in-toto.io/Statement/v1"
	typeSignature    = "https://sigstore.dev/cosign/sign/v1"

	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationChain       = "dev.sigstore.cosign/chain"
	annotationBundle      = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"

	maxSignature = 1 << 20 // bytes of one that is read
	maxReferrers = 256     // that are looked at
)

// savedJSON is a legacy signature as a snapshot carries it.
type savedJSON struct {
	MediaType   string            `json:"mediaType"`
	Payload     []byte            `json:"payload"`
	Annotations map[string]string `json:"annotations"`
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

type (
	Evidence  = signature.Evidence
	Signature = signature.Signature
)

var (
	Find  = signature.Find
	Write = signature.Write
)
