package registry

import (
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

// Manifest implements Fetcher.
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
	if len(manifest) > entry.MaxManifest {
		return none, nil, fmt.Errorf("%w: a manifest of %d bytes, more than the %d allowed", entry.ErrUnreachable, len(manifest), entry.MaxManifest)
	}
	mediaType, err := manifestType(header, manifest)
	if err != nil {
		return none, nil, err
	}
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	for _, text := range []string{header.Get("Docker-Content-Digest"), reference} {
		// The transport has checked the manifest against both.
		if d, err := digest.Parse(text); err == nil && d.Algorithm().Available() {
			descriptor.Digest = d
		}
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
	FSLayers      json.RawMessage `json:"fsLayers"`
}

// manifestType is the media type of a manifest: that of its header, or, where
// that says no more than JSON or nothing, that of the body, which may be told by
// its members.
func manifestType(header http.Header, body []byte) (string, error) {
	said := mediaTypeOf(header)
	switch said {
	case "", "application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream":
	default:
		return said, nil
	}
	var head manifestHead
	if err := json.Unmarshal(body, &head); err != nil {
		return "", fmt.Errorf("%w: the answer is no manifest", entry.ErrUnreachable)
	}
	if own, _ := head.MediaType.(string); own != "" {
		return own, nil
	}
	switch {
	case len(head.Manifests) > 0 && head.Layers == nil:
		return ocispec.MediaTypeImageIndex, nil
	case len(head.Config) > 0 && len(head.Layers) > 0 && head.Manifests == nil:
		return ocispec.MediaTypeImageManifest, nil
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
