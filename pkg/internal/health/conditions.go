package health

import "github.com/oci-catalog/caib/pkg/entry"

// The reasons why an entry is not Available. ReasonDigestMismatch is what earlier
// probers recorded of a tag that was moved: it is read, and not written.
const (
	ReasonRegistryUnreachable = "RegistryUnreachable"
	ReasonManifestUnknown     = "ManifestUnknown"
	ReasonDigestMismatch      = "DigestMismatch"
	ReasonUnauthorized        = "Unauthorized"
	ReasonThrottled           = "Throttled"
	ReasonInvalidManifest     = "InvalidManifest"
)

// Conditions that a status adds to those of the publication, and their reasons.
const (
	ConditionAvailable = "Available" // the phase, with since when and why
	ConditionStale     = "Stale"     // the phase is an old one: its registry is not asked for now, or does not answer
	ConditionMoved     = "ReferenceMoved"

	ReasonVerified    = "Verified"
	ReasonBreakerOpen = "BreakerOpen"
	ReasonNoAnswer    = "NoAnswer"
	ReasonTagMoved    = "TagMoved"
)

// Apply shows a status in an item, instead of the one that it shows. A status of
// another revision changes the access count only. The item's conditions are
// replaced, not changed in place.
func Apply(item *entry.Item, s *entry.Status) {
	item.AccessCount = s.Accesses
	if s.Revision != item.Revision {
		return
	}
	item.Phase, item.StatusReason, item.StatusMessage, item.LastVerified = s.Phase, s.Reason, s.Message, s.LastVerified
	available := entry.Condition{Type: ConditionAvailable, Status: "False", Reason: s.Reason, Message: s.Message, LastTransitionTime: s.Since}
	if s.Phase == entry.PhaseAvailable {
		available.Status, available.Reason = "True", ReasonVerified
	}
	var conditions []entry.Condition
	for _, c := range item.Conditions {
		if c.Type != ConditionAvailable && c.Type != ConditionStale && c.Type != ConditionMoved {
			conditions = append(conditions, c)
		}
	}
	conditions = append(conditions, available)
	if s.StaleSince != nil {
		c := entry.Condition{
			Type: ConditionStale, Status: "True", Reason: ReasonBreakerOpen,
			Message: "the registry failed too often and is left alone for a while: the phase is the last one known", LastTransitionTime: *s.StaleSince,
		}
		if isDefinite(*s) {
			c.Reason, c.Message = ReasonNoAnswer, "the registry does not answer: the phase is what it answered last"
		}
		conditions = append(conditions, c)
	}
	if s.MovedSince != nil {
		conditions = append(conditions, entry.Condition{
			Type: ConditionMoved, Status: "True", Reason: ReasonTagMoved,
			Message: "the tag no longer names what was published: the published digest is handed out", LastTransitionTime: *s.MovedSince,
		})
	}
	item.Conditions = conditions
}
