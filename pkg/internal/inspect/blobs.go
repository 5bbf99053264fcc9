package inspect

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxBlobs = 4096      // distinct, of one image
	maxBytes = 1<<53 - 1 // of all blobs; the entry schema allows no more
)

// count adds up the sizes of the image's distinct blobs.
func (l *look) count(manifests []*node) error {
	for _, n := range manifests {
		for _, d := range n.blobs() {
			size, counted := l.blobs[d.Digest]
			switch {
			case counted && size != d.Size:
				return fmt.Errorf("%w: blob %s has %d bytes in one place and %d in another", entry.ErrMalformed, d.Digest, size, d.Size)
			case counted:
				continue
			case d.Size > maxBytes-l.image.Observed.SizeBytes:
				return fmt.Errorf("%w: blobs of more than %d bytes together", entry.ErrMalformed, int64(maxBytes))
			case len(l.blobs) == maxBlobs:
				return fmt.Errorf("%w: more than the %d blobs allowed", entry.ErrMalformed, maxBlobs)
			}
			l.blobs[d.Digest] = d.Size
			l.image.Observed.SizeBytes += d.Size
		}
	}
	return nil
}

// size is what the distinct blobs of one manifest take.
func (n *node) size() (sum int64) {
	seen := map[digest.Digest]bool{}
	for _, d := range n.blobs() {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			sum += d.Size
		}
	}
	return sum
}

// stat makes sure that every layer is there and of the size that its manifest
// says: an image that cannot be pulled is not one to publish. Configs were
// read, and layers that are kept elsewhere by design are not looked for.
func (l *look) stat(ctx context.Context, manifests []*node) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(2 * parallel)
	asked := map[digest.Digest]bool{ocispec.DescriptorEmptyJSON.Digest: true}
	for _, n := range manifests {
		for _, d := range n.manifest.Layers {
			if asked[d.Digest] || isForeign(d.MediaType) {
				continue
			}
			asked[d.Digest] = true
			group.Go(func() error { return l.from.StatBlob(within, plain(d)) })
		}
	}
	return group.Wait()
}

// isForeign tells layers that are fetched from elsewhere than the registry.
func isForeign(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.")
}
