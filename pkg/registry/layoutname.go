package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// Images in a layout have the names that tools give them: a tag, a whole
// reference, or none. They are found as skopeo finds them.

// locate splits the path of a layout reference into the directory and the name
// in it, where what comes before a colon is a layout and the whole is not: a
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
// there is none is found to be false. Two images of one name are an
// entry.ErrMalformed. A digest names content, and never what is called so.
func (l *layout) find(index *layoutIndex, reference string) (found listing, ok bool, err error) {
	switch {
	case l.name == "" || isDigest(reference) || referrertag.IsKeep(reference):
	case reference == onlyImage:
		reference = l.name
	default:
		reference = l.name + ":" + reference
	}
	if isDigest(reference) {
		found, ok = index.withDigest(reference)
		return found, ok, nil
	}
	if reference != onlyImage {
		return index.named(reference)
	}
	if found, ok = l.only(index); ok {
		return found, true, nil
	}
	found, ok, err = index.named("latest")
	if err == nil && !ok && index.count > 0 {
		err = &ambiguousError{index.nameList(), fmt.Errorf("%w: the layout holds several images, and none is meant more than another: name one of them: %s", entry.ErrInvalid, index.names())}
	}
	return found, ok, err
}

func isDigest(reference string) bool { return digest.Digest(reference).Validate() == nil }

// ambiguousError is a reference that names several images of a layout.
type ambiguousError struct {
	names []string // as those of Error
	error
}

func (e *ambiguousError) Unwrap() error { return e.error }

// named returns the descriptor of a name.
func (x *layoutIndex) named(reference string) (found listing, ok bool, err error) {
	for i, at := range x.tags.all(reference) {
		if l := x.listed[at]; i == 0 {
			found = l
		} else if l.digest != found.digest {
			return found, false, &ambiguousError{[]string{"@" + found.digest, "@" + l.digest},
				fmt.Errorf("%w: two images are called %s: %s and %s; name one by its digest, or another of: %s", entry.ErrMalformed, reference, found.digest, l.digest, x.names())}
		}
	}
	return found, found.text != "", nil
}

// only returns the only image of a layout, whatever its name. What has no name
// and is attached to an image, or is a part of one, is listed beside it by some
// tools, and is none.
func (l *layout) only(index *layoutIndex) (image listing, ok bool) {
	parts := map[string]bool{}
	if index.count > 1 {
		for _, listed := range index.listed {
			l.addParts(listed, parts)
		}
	}
	for _, listed := range index.listed {
		switch {
		case listed.text == "", listed.digest == image.digest, listed.tag == "" && parts[listed.digest], referrertag.IsKeep(listed.tag):
		case image.digest != "":
			return listing{}, false
		default:
			image = listed
		}
	}
	return image, image.digest != ""
}

// addParts marks the manifests that an index names, and a manifest that refers
// to another.
func (l *layout) addParts(listed listing, parts map[string]bool) {
	text, err := l.read(digest.Digest(listed.digest), maxManifest)
	var manifest struct {
		Subject   *ocispec.Descriptor  `json:"subject"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err != nil || decodeLeniently(string(text), &manifest) != nil {
		return
	}
	if manifest.Subject != nil {
		parts[listed.digest] = true
	}
	for _, child := range manifest.Manifests {
		parts[child.Digest.String()] = true
	}
}

// maxNames bounds the names that an error lists.
const maxNames = 10

// names lists what the images of a layout are called, for a message.
func (x *layoutIndex) names() string { return printable(strings.Join(x.nameList(), ", ")) }

// nameList is what the images of a layout are called: by digest where none has a
// name.
func (x *layoutIndex) nameList() []string {
	var named, unnamed []string
	for _, l := range x.listed {
		switch {
		case l.tag == "" && l.digest == "", referrertag.IsKeep(l.tag):
		case l.tag != "":
			named = append(named, l.tag)
		default:
			unnamed = append(unnamed, "@"+l.digest)
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
	return named
}
