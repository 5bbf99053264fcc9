package registry

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The bounds of what is read from a repository (SPEC section 11). Readers
// refuse what exceeds them, so writers check them before they write: what is
// written must never be what nobody can read again.
const (
	// maxBlob bounds the blobs that are read and written, in bytes: configs,
	// entry documents and snapshot segments, never image layers.
	maxBlob = 64 << 20

	maxManifest    = 4 << 20  // bytes of a manifest: the most that registries accept
	maxIndex       = 64 << 20 // bytes of a layout's index.json
	maxDescriptors = 500_000  // in a layout's index.json
)

// layoutBounds are the bounds of one layout. Tests make them small.
type layoutBounds struct {
	blob        int64 // bytes of a blob
	manifest    int64 // bytes of a manifest, of a descriptor, and of what surrounds the descriptors in index.json
	index       int64 // bytes of index.json
	descriptors int   // how many index.json lists
}

func defaultBounds() layoutBounds {
	return layoutBounds{blob: maxBlob, manifest: maxManifest, index: maxIndex, descriptors: maxDescriptors}
}

// checkIndex reports an index.json that readers would refuse.
func (b layoutBounds) checkIndex(size int64, descriptors int) error {
	switch {
	case size > b.index:
		return fmt.Errorf("%d bytes, more than the %d that readers take", size, b.index)
	case descriptors > b.descriptors:
		return fmt.Errorf("%d manifests, more than the %d that readers take", descriptors, b.descriptors)
	}
	return nil
}

// checkContent reports content that readers would refuse.
func checkContent(what string, content []byte, most int64) error {
	if int64(len(content)) > most {
		return fmt.Errorf("%w: a %s of %d bytes, more than the %d that readers take", entry.ErrInvalid, what, len(content), most)
	}
	return nil
}
