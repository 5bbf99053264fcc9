package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	// predicateBundle and predicateInToto say what a statement is about.
	predicateBundle = "dev.sigstore.bundle.predicateType"
	predicateInToto = "in-toto.io/predicate-type"
	// attestedDigest names the platform of a BuildKit attestation.
	attestedDigest = "vnd.docker.reference.digest"
	// maxArtifacts is what the entry schema allows.
	maxArtifacts = 256
)

// addReferrer describes what refers to the image or to a platform of it.
func (l *look) addReferrer(r *referrer, image digest.Digest) {
	facts, manifest := facts{look: l}, r.manifest
	if r.subject == "" || !sound(manifest.Layers) {
		return
	}
	if isDisk(manifest) {
		if len(l.image.Artifacts)+len(manifest.Layers) <= maxArtifacts {
			facts.disk(r.descriptor.Digest, manifest)
			if r.read.Content != nil { // else it is below the image, and among its manifests
				l.image.Manifests = append(l.image.Manifests, r.read)
			}
		}
		return
	}
	if r.subject == image {
		r.subject = ""
	}
	described := revision.Referrer{
		Type:          facts.text("referrer's type", cmp.Or(artifactType(manifest), r.descriptor.MediaType)),
		PredicateType: facts.text("referrer's predicate type", cmp.Or(manifest.Annotations[predicateBundle], manifest.Annotations[predicateInToto])),
		Title:         facts.text("referrer's title", manifest.Annotations[ocispec.AnnotationTitle]),
		Digest:        r.descriptor.Digest, Subject: r.subject,
	}
	for _, layer := range manifest.Layers {
		described.SizeBytes += layer.Size
	}
	if len(manifest.Layers) == 1 {
		layer := manifest.Layers[0]
		described.FileDigest = layer.Digest
		facts.set(&described.Title, "referrer's title", layer.Annotations[ocispec.AnnotationTitle])
		facts.set(&described.PredicateType, "referrer's predicate type", layer.Annotations[predicateInToto])
	}
	l.list(described)
}

// addAttestation lists the statements of a BuildKit attestation, which is
// listed in the image's index instead of referring to it.
func (l *look) addAttestation(n *node) {
	if n.isIndex() || !n.isAttestation() || !sound(n.manifest.Layers) {
		return
	}
	facts := facts{look: l}
	subject := digest.Digest(n.descriptor.Annotations[attestedDigest])
	if !isDigest(subject) {
		subject = ""
	}
	for _, layer := range n.manifest.Layers {
		l.list(revision.Referrer{
			Type:          facts.text("attestation's type", layer.MediaType),
			PredicateType: facts.text("attestation's predicate type", layer.Annotations[predicateInToto]),
			Digest:        n.descriptor.Digest, SizeBytes: layer.Size, FileDigest: layer.Digest, Subject: subject,
		})
	}
}

// addArtifacts lists what the image's index has beside its platforms, as
// what it is.
func (l *look) addArtifacts(root *node, manifests []*node) {
	root.each(func(n *node) {
		isPart := n == root || slices.Contains(manifests, n) && (n.runs() || isDisk(n.manifest))
		if isPart || n.isAttestation() || n.isIndex() && !n.isArtifact() {
			return
		}
		if n.isIndex() {
			l.list(revision.Referrer{Type: facts{look: l}.text("artifact's type", n.index.ArtifactType), Digest: n.descriptor.Digest})
		} else if !strings.HasPrefix(n.manifest.ArtifactType, ours) {
			l.addReferrer(&referrer{descriptor: n.descriptor, subject: root.descriptor.Digest, manifest: n.manifest}, root.descriptor.Digest)
		}
	})
}

// list adds a referrer, within bounds; one without a type says nothing.
func (l *look) list(described revision.Referrer) {
	if described.Type != "" && len(l.image.Observed.Referrers) < 2*maxReferrers {
		l.image.Observed.Referrers = append(l.image.Observed.Referrers, described)
	}
}

// sound tells layers whose sizes add up and whose digests are some.
func sound(layers []ocispec.Descriptor) bool {
	var sum int64
	for _, layer := range layers {
		if layer.Size < 0 || layer.Size > maxBytes-sum || !isDigest(layer.Digest) {
			return false
		}
		sum += layer.Size
	}
	return true
}

// isDigest reports whether an entry may have a digest.
func isDigest(d digest.Digest) bool {
	return d.Validate() == nil && (d.Algorithm() == digest.SHA256 || d.Algorithm() == digest.SHA512)
}
