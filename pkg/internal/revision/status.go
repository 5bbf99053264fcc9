package revision

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The reasons why an entry is not Available.
const (
	ReasonRegistryUnreachable = "RegistryUnreachable"
	ReasonManifestUnknown     = "ManifestUnknown"
	ReasonDigestMismatch      = "DigestMismatch"
	ReasonUnauthorized        = "Unauthorized"
	ReasonThrottled           = "Throttled"
	ReasonInvalidManifest     = "InvalidManifest"
)

// Conditions that a status adds to those of the publication.
const (
	ConditionAvailable = "Available" // the phase, with since when and why
	ConditionStale     = "Stale"     // the phase is an old one: its registry is not asked for now

	ReasonVerified    = "Verified"
	ReasonBreakerOpen = "BreakerOpen"
)

// ApplyStatus shows a status in an item, instead of the one that it shows. A status
// of another revision changes the access count only. The item's conditions are
// replaced, not changed in place.
func ApplyStatus(i *entry.Item, s *entry.Status) {
	i.AccessCount = s.Accesses
	if s.Revision != i.Revision {
		return
	}
	i.Phase, i.StatusReason, i.StatusMessage, i.LastVerified = s.Phase, s.Reason, s.Message, s.LastVerified
	available := entry.Condition{Type: ConditionAvailable, Status: "False", Reason: s.Reason, Message: s.Message, LastTransitionTime: s.Since}
	if s.Phase == entry.PhaseAvailable {
		available.Status, available.Reason = "True", ReasonVerified
	}
	var conditions []entry.Condition
	for _, c := range i.Conditions {
		if c.Type != ConditionAvailable && c.Type != ConditionStale {
			conditions = append(conditions, c)
		}
	}
	conditions = append(conditions, available)
	if s.StaleSince != nil {
		conditions = append(conditions, entry.Condition{
			Type: ConditionStale, Status: "True", Reason: ReasonBreakerOpen,
			Message: "the registry failed too often and is left alone for a while: the phase is the last one known", LastTransitionTime: *s.StaleSince,
		})
	}
	i.Conditions = conditions
}

// MaxStatusMessage bounds the message of a status, in bytes.
const MaxStatusMessage = 1024

// CheckStatus reports a status that a reader must not believe: it may come from
// whoever can write to the catalog. The error is an ErrInvalid.
func CheckStatus(s *entry.Status) error {
	invalid := func(what string) error {
		return fmt.Errorf("%w: status of %q: %s", entry.ErrMalformed, shorten(s.Name), what)
	}
	phase, known := entry.ParsePhase(string(s.Phase))
	switch {
	case entry.CheckName(s.Name) != nil:
		return invalid("not a name")
	case !known || phase != s.Phase:
		return invalid("unknown phase")
	case !isText(s.Reason, 64), !isText(s.Message, MaxStatusMessage):
		return invalid("reason or message is no plain ASCII text")
	case s.Accesses < 0 || s.Failures < 0:
		return invalid("negative count")
	}
	return nil
}
