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
	found := DuplicatesOf(heads, func(head *Revision) (Image, bool) {
		if head.Document == nil {
			return Image{}, false
		}
		return head.Document.Image, true
	}, func(a, b *Revision) int { return a.Tag.Compare(b.Tag) }, normal)
	slices.SortFunc(found, func(a, b []*Revision) int { return cmp.Compare(a[0].Tag.Name, b[0].Tag.Name) })
	return found
}

// DuplicatesOf is Duplicates of what is known of live entries: the image of one, where
// it has one, and which of two is earlier. They are in no order.
func DuplicatesOf[T any](live []T, image func(T) (Image, bool), compare func(a, b T) int, normal func(reference string) string) [][]T {
	type key struct{ reference, digest string }
	byImage := map[key][]T{}
	for _, one := range live {
		if image, ok := image(one); ok {
			at := key{normal(image.Reference), image.Digest.String()}
			byImage[at] = append(byImage[at], one)
		}
	}
	var found [][]T
	for _, same := range byImage {
		if len(same) > 1 {
			slices.SortFunc(same, compare)
			found = append(found, same)
		}
	}
	return found
}
