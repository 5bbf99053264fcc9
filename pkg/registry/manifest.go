package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1" // and what begins so
)

// manifestTypes are the kinds of manifest that are asked for.
var manifestTypes = strings.Join([]string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList,
	"application/vnd.oci.artifact.manifest.v1+json",
}, ", ")

// Manifest implements Repository.
func (r *remoteRepository) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	descriptor, manifest, err := r.manifest(ctx, reference)
	return descriptor, manifest, r.classify(ctx, "fetch "+r.named(reference), err)
}

func (e *endpoint) manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	none := ocispec.Descriptor{}
	header, manifest, err := e.get(ctx, question{path: "manifests/" + reference, header: http.Header{"Accept": {manifestTypes}}})
	if err != nil {
		return none, nil, err
	}
	if len(manifest) > maxManifest {
		return none, nil, fmt.Errorf("%w: a manifest of %d bytes, more than the %d allowed", entry.ErrUnreachable, len(manifest), maxManifest)
	}
	descriptor := ocispec.Descriptor{Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	stored := false
	for _, text := range []string{header.Get("Docker-Content-Digest"), reference} {
		if digest.Digest(text) == descriptor.Digest {
			stored = true
			continue
		}
		d, err := checkDigest(text, manifest)
		if err != nil {
			return none, nil, fmt.Errorf("%w: %w", entry.ErrUnreachable, err)
		}
		if d != "" {
			descriptor.Digest, stored = d, true
		}
	}
	if descriptor.MediaType, err = manifestType(header, manifest, stored); err != nil {
		return none, nil, err
	}
	return descriptor, manifest, nil
}

// manifestHead is what tells the kind of a manifest.
type manifestHead struct {
	SchemaVersion any             `json:"schemaVersion"`
	MediaType     any             `json:"mediaType"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	Manifests     json.RawMessage `json:"manifests"`
	Blobs         json.RawMessage `json:"blobs"` // of the artifact manifest that OCI withdrew
	FSLayers      json.RawMessage `json:"fsLayers"`
	Errors        json.RawMessage `json:"errors"`
}

// isSet reports whether a member is there and not null.
func isSet(member json.RawMessage) bool { return len(member) > 0 && string(member) != "null" }

// hasContent reports whether a body names what a manifest or an index consists of.
func (h *manifestHead) hasContent() bool {
	return isSet(h.Config) || isSet(h.Layers) || isSet(h.Manifests) || isSet(h.Blobs) || isSet(h.FSLayers)
}

// isManifest reports whether a body is a manifest of some kind, by its members.
func (h *manifestHead) isManifest() bool {
	return h.hasContent() || !isSet(h.Errors) && (h.SchemaVersion != nil || h.mediaType() != "")
}

// mediaType is the media type that a body gives itself, without parameters.
func (h *manifestHead) mediaType() string {
	own, _ := h.MediaType.(string)
	own, _, _ = strings.Cut(own, ";")
	return strings.TrimSpace(own)
}

// kind is the media type that follows from the members of a body; "" if none
// does.
func (h *manifestHead) kind() string {
	switch {
	case isSet(h.Manifests) && !isSet(h.Layers), h.Manifests != nil && h.Layers == nil && h.Config == nil:
		return ocispec.MediaTypeImageIndex
	case isSet(h.Config) && h.Layers != nil && !isSet(h.Manifests):
		return ocispec.MediaTypeImageManifest
	}
	return ""
}

// saidKind is the media type of a header if it is one of a manifest or an index,
// else "". Of a list of types the first counts.
func saidKind(header http.Header) string {
	said, _, _ := strings.Cut(mediaTypeOf(header), ",")
	said = strings.TrimSpace(said)
	if strings.Contains(said, "manifest") || strings.Contains(said, "index") {
		return said
	}
	return ""
}

// manifestType is the media type of a manifest. That it is one, its own members
// say; what kind it is, the header, if that speaks of a manifest or an index at
// all, else the body by its media type, else its members. What is stored, since
// its digest is the one that was asked for or announced, is no error of the
// registry's: it is of the kind that the header says, however little it is one.
func manifestType(header http.Header, body []byte, stored bool) (string, error) {
	if said := saidKind(header); stored && said != "" {
		return said, nil
	}
	var head *manifestHead
	if err := json.Unmarshal(body, &head); err != nil || head == nil || !head.isManifest() {
		return "", fmt.Errorf("%w: the answer is no manifest", entry.ErrUnreachable)
	}
	if kind := cmp.Or(saidKind(header), head.mediaType(), head.kind()); kind != "" {
		return kind, nil
	}
	return "", fmt.Errorf("%w: the answer is no manifest, and does not say what it is", entry.ErrUnreachable)
}

// checkKind refuses the manifests whose digest is not that of their bytes:
// Docker's first schema, which carries its own signatures.
func checkKind(header http.Header, body []byte) error {
	said := mediaTypeOf(header)
	var head manifestHead
	if json.Unmarshal(body, &head) != nil {
		return nil // no object: it is no manifest of any kind
	}
	own, _ := head.MediaType.(string)
	version, _ := head.SchemaVersion.(float64)
	if strings.HasPrefix(said, dockerSchema1) || strings.HasPrefix(own, dockerSchema1) || (version == 1 && head.FSLayers != nil) {
		return fmt.Errorf("%w: a manifest of Docker's schema 1, which is not supported: push the image again", entry.ErrMalformed)
	}
	return nil
}
