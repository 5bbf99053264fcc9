package revision

import (
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

func TestReferrerKinds(t *testing.T) {
	const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	for _, tt := range []struct{ artifactType, predicate, want string }{
		{"application/vnd.automotive.manifest.v1+yaml", "", KindAIBManifest},
		{"application/vnd.automotive.sources.v1+tar+gzip", "", KindBuildSources},
		{"application/vnd.osbuild.manifest.v1+json", "", KindOSBuildManifest},
		{"application/spdx+json", "", KindSBOM},
		{"text/spdx", "", KindSBOM},
		{"application/vnd.cyclonedx+json", "", KindSBOM},
		{"application/vnd.in-toto+json", "https://spdx.dev/Document", KindSBOM},
		{bundle, "https://cyclonedx.org/bom", KindSBOM},
		{bundle, "https://slsa.dev/provenance/v1", KindProvenance},
		{"application/vnd.in-toto+json", "https://slsa.dev/provenance/v0.2", KindProvenance},
		{bundle, "", KindSignature},
		{bundle, "https://sigstore.dev/cosign/sign/v1", KindSignature},
		{"application/vnd.dev.cosign.artifact.sig.v1+json", "", KindSignature},
		{"application/vnd.cncf.notary.signature", "", KindSignature},
		{bundle, "https://example.com/test-result/v1", KindAttestation},
		{"application/vnd.in-toto+json", "", KindAttestation},
		{"application/vnd.example.thing", "", ""},
		{"", "", ""},
	} {
		r := Referrer{Type: tt.artifactType, PredicateType: tt.predicate}
		if got := ReferrerKind(&r); got != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.artifactType, tt.predicate, got, tt.want)
		}
	}
}

func TestSignaturesAreNoContent(t *testing.T) {
	attached := func(artifactType string) *Document {
		d := sampleDocument("a")
		d.Registry.Referrers = append(d.Registry.Referrers, Referrer{Type: artifactType, Digest: digest.FromString(artifactType)})
		return d
	}
	if !SameContent(sampleDocument("a"), attached("application/vnd.dev.cosign.artifact.sig.v1+json")) {
		t.Error("a signature is content")
	}
	if SameContent(sampleDocument("a"), attached("application/spdx+json")) {
		t.Error("an SBOM is no content")
	}
}

func TestMismatchConditions(t *testing.T) {
	d := sampleDocument("a")
	if got := mismatchConditions(d); got != nil {
		t.Errorf("%+v without a mismatch", got)
	}
	d.Mismatches = []Mismatch{{Field: "distro", Image: "autosd", Publisher: "cs9"}, {Field: "architecture", Image: "arm64", Publisher: "amd64"}}
	got := mismatchConditions(d)
	want := entry.Condition{
		Type: "MetadataMismatch", Status: "True", Reason: "ImageStands", LastTransitionTime: d.PublishedAt,
		Message: `distro is "autosd" according to the image, not "cs9": the image's word is published; ` +
			`architecture is "arm64" according to the image, not "amd64": the image's word is published`,
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	d.Mismatches[1].Overridden = true
	if got := mismatchConditions(d); got[0].Reason != "PublisherOverrode" {
		t.Errorf("%+v", got)
	}
}
