package entry

import (
	"fmt"
	"slices"
	"strings"
)

// The phases of an entry (SPEC section 17). Publication inspects the image, so
// an entry whose status nobody recorded is Available.
const (
	PhasePending     = "Pending"     // known, and not looked at yet
	PhaseVerifying   = "Verifying"   // its first look is under way
	PhaseAvailable   = "Available"   // reachable, and the digest is what was published
	PhaseUnavailable = "Unavailable" // the registry does not answer; it is asked again
	PhaseFailed      = "Failed"      // gone, another image, refused, or silent too often in a row
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

// Status is what probing found out about the image of one entry (SPEC section
// 17). It describes one revision: of another revision of the name, only
// Accesses counts.
type Status struct {
	Name         string `json:"name"`
	Revision     string `json:"revision"` // manifest digest
	Phase        string `json:"phase"`
	Reason       string `json:"reason,omitempty"`
	Message      string `json:"message,omitempty"`
	LastVerified Time   `json:"lastVerified"`          // the last probe that got an answer
	Since        Time   `json:"since"`                 // of the phase
	Failures     int    `json:"failures,omitempty"`    // in a row
	StaleSince   *Time  `json:"staleSince,omitempty"`  // the breaker of its registry kept the last probes from being made
	Accesses     int64  `json:"accessCount,omitempty"` // how often the entry was asked for by name
}

// Apply shows a status in an item, instead of the one that it shows. A status
// of another revision changes the access count only. The item's conditions are
// replaced, not changed in place.
func (i *Item) Apply(s *Status) {
	i.AccessCount = s.Accesses
	if s.Revision != i.Revision {
		return
	}
	i.Phase, i.StatusReason, i.StatusMessage, i.LastVerified = s.Phase, s.Reason, s.Message, s.LastVerified
	available := Condition{Type: ConditionAvailable, Status: "False", Reason: s.Reason, Message: s.Message, LastTransitionTime: s.Since}
	if s.Phase == PhaseAvailable {
		available.Status, available.Reason = "True", ReasonVerified
	}
	var conditions []Condition
	for _, c := range i.Conditions {
		if c.Type != ConditionAvailable && c.Type != ConditionStale {
			conditions = append(conditions, c)
		}
	}
	conditions = append(conditions, available)
	if s.StaleSince != nil {
		conditions = append(conditions, Condition{
			Type: ConditionStale, Status: "True", Reason: ReasonBreakerOpen,
			Message: "the registry failed too often and is left alone for a while: the phase is the last one known", LastTransitionTime: *s.StaleSince,
		})
	}
	i.Conditions = conditions
}

// MaxStatusMessage bounds the message of a status, in bytes.
const MaxStatusMessage = 1024

var phases = []string{PhasePending, PhaseVerifying, PhaseAvailable, PhaseUnavailable, PhaseFailed}

// IsPhase tells the names of phases, in any case.
func IsPhase(text string) bool {
	return slices.ContainsFunc(phases, func(phase string) bool { return strings.EqualFold(phase, text) })
}

// Check reports a status that a reader must not believe: it may come from
// whoever can write to the catalog. The error is an ErrInvalid.
func (s *Status) Check() error {
	invalid := func(what string) error {
		return fmt.Errorf("%w: status of %q: %s", ErrInvalid, shorten(s.Name), what)
	}
	switch {
	case CheckName(s.Name) != nil:
		return invalid("not a name")
	case !slices.Contains(phases, s.Phase):
		return invalid("unknown phase")
	case !isText(s.Reason, 64), !isText(s.Message, MaxStatusMessage):
		return invalid("reason or message is no plain ASCII text")
	case s.Accesses < 0 || s.Failures < 0:
		return invalid("negative count")
	}
	return nil
}
