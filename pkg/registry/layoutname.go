package registry

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Images in a layout have the names that tools give them: a tag, a whole
// reference, or none. They are found as skopeo finds them.

// locate splits the path of a layout reference into the directory and the name
// in it, where what stands before a colon is a layout and the whole is not: a
// name may be a reference with a registry and slashes, oci:DIR:REGISTRY/NAME.
func locate(path string) (root, name string) {
	isLayout := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, ocispec.ImageIndexFile))
		return err == nil
	}
	if isLayout(path) {
		return path, ""
	}
	for i := range len(path) {
		if path[i] == ':' && isLayout(path[:i]) {
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// onlyImage is what a reference without a tag names in a layout. It is no tag,
// and no digest.
const onlyImage = "*"

// find returns the image that a reference names: by a digest; by a name; or by
// onlyImage, which is the only one there is, else the one called latest. That
// there is none is found to be false. Two images of one name are an entry.ErrMalformed.
func (l *layout) find(index *ocispec.Index, reference string) (d ocispec.Descriptor, found bool, err error) {
	isDigest := digest.Digest(reference).Validate() == nil
	switch {
	case l.name == "" || isDigest:
	case reference == onlyImage:
		reference = l.name
	default:
		reference = l.name + ":" + reference
	}
	if reference == onlyImage {
		if d, found = l.only(index); found {
			return d, true, nil
		}
		reference = "latest"
		defer func() {
			if err == nil && !found && len(index.Manifests) > 0 {
				err = fmt.Errorf("%w: the layout holds several images, and none is meant more than another: name one of them: %s", entry.ErrInvalid, names(index))
			}
		}()
	}
	for _, candidate := range index.Manifests {
		switch {
		case candidate.Annotations[ocispec.AnnotationRefName] != reference && candidate.Digest.String() != reference:
		case found && candidate.Digest != d.Digest:
			return d, false, fmt.Errorf("%w: two images are called %s: %s and %s; name one by its digest, or another of: %s", entry.ErrMalformed, reference, d.Digest, candidate.Digest, names(index))
		case !found:
			d, found = candidate, true
		}
	}
	return d, found, nil
}

// only returns the only image of a layout, whatever its name. What has no name
// and is attached to an image, or is a part of one, is listed beside it by some
// tools, and is none.
func (l *layout) only(index *ocispec.Index) (ocispec.Descriptor, bool) {
	parts := map[digest.Digest]bool{}
	if len(index.Manifests) > 1 {
		for _, d := range index.Manifests {
			l.addParts(d, parts)
		}
	}
	var image ocispec.Descriptor
	for _, d := range index.Manifests {
		switch {
		case d.Digest == image.Digest, d.Annotations[ocispec.AnnotationRefName] == "" && parts[d.Digest]:
		case image.Digest != "":
			return ocispec.Descriptor{}, false
		default:
			image = d
		}
	}
	return image, image.Digest != ""
}

// addParts marks the manifests that an index names, and a manifest that refers
// to another.
func (l *layout) addParts(d ocispec.Descriptor, parts map[digest.Digest]bool) {
	text, err := l.read(d.Digest, entry.MaxManifest)
	var manifest struct {
		Subject   *ocispec.Descriptor  `json:"subject"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err != nil || json.Unmarshal(text, &manifest) != nil {
		return
	}
	if manifest.Subject != nil {
		parts[d.Digest] = true
	}
	for _, child := range manifest.Manifests {
		parts[child.Digest] = true
	}
}

// maxNames bounds the names that an error lists.
const maxNames = 10

// names lists what the images of a layout are called: by digest where none has a
// name.
func names(index *ocispec.Index) string {
	var named, unnamed []string
	for _, d := range index.Manifests {
		if name := d.Annotations[ocispec.AnnotationRefName]; name != "" {
			named = append(named, name)
		} else {
			unnamed = append(unnamed, "@"+d.Digest.String())
		}
	}
	if len(named) == 0 {
		named = unnamed
	}
	slices.Sort(named)
	named = slices.Compact(named)
	if len(named) > maxNames {
		named = append(named[:maxNames], "…")
	}
	return printable(strings.Join(named, ", "))
}
