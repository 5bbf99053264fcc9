package entry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Referrer is an artifact whose subject is the image, or a platform of it. It
// stands in the image's repository (SPEC section 6).
type Referrer struct {
	Type          string        `json:"type"`                    // artifact type
	PredicateType string        `json:"predicateType,omitempty"` // of an in-toto statement
	Digest        digest.Digest `json:"digest"`                  // of its manifest
	SizeBytes     int64         `json:"sizeBytes,omitempty"`     // of its files together
	Title         string        `json:"title,omitempty"`         // file name
	FileDigest    digest.Digest `json:"fileDigest,omitempty"`    // of its file, where there is one alone
	Subject       digest.Digest `json:"subject,omitempty"`       // the platform; "" for the image itself
}

// ReferrerRef is a referrer of an entry's image, as the HTTP API shows it.
type ReferrerRef struct {
	Kind       string `json:"kind,omitempty"` // a plain name; empty for a type that is not known
	Type       string `json:"type"`
	URL        string `json:"url"` // reference of its manifest
	Digest     string `json:"digest"`
	SizeBytes  int64  `json:"sizeBytes,omitempty"`
	Title      string `json:"title,omitempty"`
	FileDigest string `json:"fileDigest,omitempty"`
	Platform   string `json:"platform,omitempty"` // digest of the platform it belongs to
}

// The plain names of what is attached to images.
const (
	KindAIBManifest     = "AIB manifest"
	KindBuildSources    = "build sources"
	KindOSBuildManifest = "osbuild manifest"
	KindSBOM            = "SBOM"
	KindProvenance      = "provenance"
	KindSignature       = "signature"
	KindAttestation     = "attestation" // an in-toto statement of another kind
)

// kinds names artifact types and in-toto predicate types; the first prefix
// that fits decides.
var kinds = []struct{ prefix, kind string }{
	{"application/vnd.automotive.manifest.", KindAIBManifest},
	{"application/vnd.automotive.sources.", KindBuildSources},
	{"application/vnd.osbuild.manifest.", KindOSBuildManifest},
	{"application/spdx", KindSBOM},
	{"text/spdx", KindSBOM},
	{"application/vnd.cyclonedx", KindSBOM},
	{"application/vnd.syft", KindSBOM},
	{"https://spdx.dev/", KindSBOM},
	{"https://cyclonedx.org/", KindSBOM},
	{"https://slsa.dev/provenance/", KindProvenance},
	{"application/vnd.dev.cosign.artifact.sig.", KindSignature},
	{"application/vnd.dev.cosign.simplesigning.", KindSignature},
	{"application/vnd.cncf.notary.signature", KindSignature},
	{"https://sigstore.dev/cosign/sign/", KindSignature},
}

// Kind returns the plain name of a referrer, or "".
func (r *Referrer) Kind() string {
	for _, text := range []string{r.PredicateType, r.Type} {
		for _, known := range kinds {
			if strings.HasPrefix(text, known.prefix) {
				return known.kind
			}
		}
	}
	bundle := strings.HasPrefix(r.Type, "application/vnd.dev.sigstore.bundle")
	switch {
	case bundle && r.PredicateType == "":
		return KindSignature // over the image's digest itself
	case bundle, strings.HasPrefix(r.Type, "application/vnd.in-toto"), strings.HasPrefix(r.Type, "application/vnd.dsse"):
		return KindAttestation
	}
	return ""
}

func referrerRefs(d *Document) []ReferrerRef {
	var all []ReferrerRef
	for _, r := range d.Registry.Referrers {
		all = append(all, ReferrerRef{
			Kind: r.Kind(), Type: r.Type, URL: Repository(d.Image.Reference) + "@" + r.Digest.String(), Digest: r.Digest.String(),
			SizeBytes: r.SizeBytes, Title: r.Title, FileDigest: r.FileDigest.String(), Platform: r.Subject.String(),
		})
	}
	return all
}

// Repository returns a reference without its tag and digest: what every
// manifest of an image is below.
func Repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') && reference[:i] != "oci" {
		reference = reference[:i]
	}
	return reference
}
