package entry

import (
	"fmt"
	"strings"
)

// Condition is one statement about the state of an entry.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"` // "True", "False" or "Unknown"
	Reason             string `json:"reason"` // one word in CamelCase
	Message            string `json:"message,omitempty"`
	LastTransitionTime Time   `json:"lastTransitionTime"`
}

// ConditionMetadataMismatch is true of an entry whose image says something
// else than its publisher did.
const ConditionMetadataMismatch = "MetadataMismatch"

// The reasons of ConditionMetadataMismatch: whose word is published.
const (
	ReasonImageStands     = "ImageStands"
	ReasonPublisherStands = "PublisherOverrode"
)

// String says who said what, and whose word is published.
func (m Mismatch) String() string {
	stands := "the image's word is published"
	if m.Overridden {
		stands = "the publisher's word is published"
	}
	return fmt.Sprintf("%s is %q according to the image, not %q: %s", m.Field, m.Image, m.Publisher, stands)
}

func mismatchConditions(d *Document) []Condition {
	if len(d.Mismatches) == 0 {
		return nil
	}
	reason := ReasonImageStands
	texts := make([]string, len(d.Mismatches))
	for i, m := range d.Mismatches {
		texts[i] = m.String()
		if m.Overridden {
			reason = ReasonPublisherStands
		}
	}
	return []Condition{{
		Type: ConditionMetadataMismatch, Status: "True", Reason: reason,
		Message: strings.Join(texts, "; "), LastTransitionTime: d.PublishedAt,
	}}
}
