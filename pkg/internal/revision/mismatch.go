package revision

import (
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Fields of mismatches between an image and what its build says that it made.
const (
	MismatchDigest  = "digest"
	MismatchCreated = "createdAt" // and when the build was completed
)

// OfDisk begins the field of such a mismatch for the disk image that was built with the
// image.
const OfDisk = "disk."

// IsOfBuild reports whether a mismatch is between an image and what its build says, and
// not about the metadata; disk, whether that image is the disk image beside another.
func (m *Mismatch) IsOfBuild() (is, disk bool) {
	field, disk := strings.CutPrefix(m.Field, OfDisk)
	return field == MismatchDigest || field == MismatchCreated, disk
}

// ConditionMetadataMismatch is true of an entry whose image says something
// else than its publisher did, and ConditionBuildMismatch of one whose image is not
// what its build made.
const (
	ConditionMetadataMismatch = "MetadataMismatch"
	ConditionBuildMismatch    = "BuildMismatch"
)

// The reasons of these conditions: whose word is published.
const (
	ReasonImageStands     = "ImageStands"
	ReasonPublisherStands = "PublisherOverrode"
)

func mismatchConditions(d *Document) (all []entry.Condition) {
	for _, condition := range []string{ConditionMetadataMismatch, ConditionBuildMismatch} {
		reason := ReasonImageStands
		var texts []string
		for _, m := range d.Mismatches {
			if ofBuild, _ := m.IsOfBuild(); ofBuild != (condition == ConditionBuildMismatch) {
				continue
			}
			texts = append(texts, MismatchText(m))
			if m.Overridden {
				reason = ReasonPublisherStands
			}
		}
		if len(texts) > 0 {
			all = append(all, entry.Condition{
				Type: condition, Status: "True", Reason: reason,
				Message: strings.Join(texts, "; "), LastTransitionTime: d.PublishedAt,
			})
		}
	}
	return all
}

// MismatchText says who said what, and whose word is published.
func MismatchText(m Mismatch) string {
	if ofBuild, disk := m.IsOfBuild(); ofBuild {
		what := "image"
		if disk {
			what = "disk image"
		}
		if strings.HasSuffix(m.Field, MismatchDigest) {
			return fmt.Sprintf("the %s is %s, and its build made %s: what the reference names now is published", what, m.Image, m.Publisher)
		}
		return fmt.Sprintf("the %s was created at %s, and its build completed at %s: what the reference names now is published", what, m.Image, m.Publisher)
	}
	stands := "the image's word is published"
	if m.Overridden {
		stands = "the publisher's word is published"
	}
	return fmt.Sprintf("%s is %q according to the image, not %q: %s", m.Field, m.Image, m.Publisher, stands)
}
