package catalog

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// imageReference reads the reference of an image, complete enough for an
// entry.
func imageReference(text string) (registry.Reference, error) {
	ref, err := registry.ParseReference(text)
	if err != nil {
		return ref, err
	}
	if ref.Tag == "" && ref.Digest == "" && ref.Layout == "" {
		ref.Tag = "latest"
	}
	if ref.Layout != "" {
		// Readers run in other directories.
		ref.Layout, err = filepath.Abs(ref.Layout)
	}
	return ref, err
}

// normalForm is the one spelling of a catalog's reference by which documents,
// caches and readers know it.
func normalForm(ref registry.Reference) (string, error) {
	if ref.Layout != "" {
		path, err := filepath.Abs(ref.Layout)
		ref.Layout = path
		return ref.Base(), err
	}
	return ref.Normal().Base(), nil
}

// defaultName is the last component of the image's repository or directory.
func defaultName(ref registry.Reference) string {
	if ref.Layout != "" {
		return strings.ToLower(filepath.Base(filepath.Clean(ref.Layout)))
	}
	return path.Base(ref.Repository)
}

// normalText is the normal form of a reference in a text; a text that is none is
// its own.
func normalText(text string) string {
	ref, err := registry.ParseReference(text)
	if err != nil {
		return text
	}
	return ref.Normal().String()
}

// wantedImage is ListOptions.Image as it is compared. The zero value is any image.
type wantedImage struct {
	digest    digest.Digest
	reference string // normal form
}

// wantImage reads ListOptions.Image. The error is an entry.ErrInvalid.
func wantImage(text string) (wantedImage, error) {
	if text == "" {
		return wantedImage{}, nil
	}
	bare, _ := strings.CutPrefix(text, "@")
	if d, err := digest.Parse(bare); err == nil {
		return wantedImage{digest: d}, nil
	}
	ref, err := imageReference(text)
	switch {
	case err != nil:
		return wantedImage{}, err
	case ref.Digest != "":
		return wantedImage{digest: ref.Digest}, nil
	}
	return wantedImage{reference: ref.Normal().String()}, nil
}

func (w wantedImage) isAny() bool { return w == wantedImage{} }

// has reports whether an item is of the image.
func (w wantedImage) has(item *entry.Item) bool {
	switch {
	case w.digest != "":
		return item.HasDigest(w.digest)
	case w.reference != "":
		ref, err := imageReference(item.RegistryURL)
		byDigest := ref.Digest != "" && ref.Tag == ""
		ref.Digest = ""
		return err == nil && !byDigest && ref.Normal().String() == w.reference
	}
	return true
}
