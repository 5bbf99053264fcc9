package entry

import (
	"testing"

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
		if got := r.Kind(); got != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.artifactType, tt.predicate, got, tt.want)
		}
	}
}

func TestRepositoryOfAReference(t *testing.T) {
	const d = "@sha256:0123"
	for reference, want := range map[string]string{
		"registry.example.com/team/image:1.0":      "registry.example.com/team/image",
		"registry.example.com/team/image:1.0" + d:  "registry.example.com/team/image",
		"registry.example.com:5000/team/image":     "registry.example.com:5000/team/image",
		"registry.example.com:5000/team/image" + d: "registry.example.com:5000/team/image",
		"[::1]:5000/image:latest":                  "[::1]:5000/image",
		"oci:/srv/images/autosd:10":                "oci:/srv/images/autosd",
		"oci:/srv/images/autosd":                   "oci:/srv/images/autosd",
		"oci:build":                                "oci:build",
		"oci:build:latest":                         "oci:build",
	} {
		if got := Repository(reference); got != want {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
}

// An image that was published is often signed afterwards, and then published
// again by the same pipeline.
func TestSignaturesAreNoContent(t *testing.T) {
	attached := func(artifactType string) *Document {
		d := sampleDocument("a")
		d.Registry.Referrers = append(d.Registry.Referrers, Referrer{Type: artifactType, Digest: digest.FromString(artifactType)})
		return d
	}
	if !sampleDocument("a").SameContent(attached("application/vnd.dev.cosign.artifact.sig.v1+json")) {
		t.Error("a signature is content")
	}
	if sampleDocument("a").SameContent(attached("application/spdx+json")) {
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
	want := Condition{
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
