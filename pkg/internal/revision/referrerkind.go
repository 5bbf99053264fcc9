package revision

import (
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

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

// ReferrerKind returns the plain name of a referrer, or "".
func ReferrerKind(r *Referrer) string {
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

func referrerRefs(d *Document) []entry.ReferrerRef {
	var all []entry.ReferrerRef
	for _, r := range d.Registry.Referrers {
		all = append(all, entry.ReferrerRef{
			Kind: ReferrerKind(&r), Type: r.Type, URL: entry.Pinned(d.Image.Reference, r.Digest), Digest: r.Digest,
			SizeBytes: r.SizeBytes, Title: r.Title, FileDigest: r.FileDigest, Platform: r.Subject,
		})
	}
	return all
}
