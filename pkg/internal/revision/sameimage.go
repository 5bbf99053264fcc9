package revision

import (
	"cmp"
	"slices"
)

// SameImage reports whether two entries have one image: the same digest,
// published from the same reference. normal is the normal form of a reference.
func SameImage(a, b Image, normal func(reference string) string) bool {
	return a.Digest == b.Digest && (a.Reference == b.Reference || normal(a.Reference) == normal(b.Reference))
}

// Duplicates returns those of the deciding revisions of a catalog that have one
// image, earliest first: an image that is live under several names.
func Duplicates(heads []*Revision, normal func(reference string) string) [][]*Revision {
	type image struct{ reference, digest string }
	byImage := map[image][]*Revision{}
	for _, head := range heads {
		if head.Document != nil {
			at := image{normal(head.Document.Image.Reference), head.Document.Image.Digest.String()}
			byImage[at] = append(byImage[at], head)
		}
	}
	var found [][]*Revision
	for _, same := range byImage {
		if len(same) > 1 {
			slices.SortFunc(same, func(a, b *Revision) int { return a.Tag.Compare(b.Tag) })
			found = append(found, same)
		}
	}
	slices.SortFunc(found, func(a, b []*Revision) int { return cmp.Compare(a[0].Tag.Name, b[0].Tag.Name) })
	return found
}
