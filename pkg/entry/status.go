package entry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Phase says whether the image of an entry can be had (SPEC section 17).
type Phase string

// The phases of an entry. Publication inspects the image, so an entry whose
// status nobody recorded is Available.
const (
	PhasePending     Phase = "Pending"     // known, and not probed yet
	PhaseVerifying   Phase = "Verifying"   // its first probe is under way
	PhaseAvailable   Phase = "Available"   // the digest that was published can be had
	PhaseUnavailable Phase = "Unavailable" // the registry does not answer; it is asked again
	PhaseFailed      Phase = "Failed"      // absent, refused, or silent too often in a row
)

// Status is what probing found out about the image of one entry (SPEC section
// 17). It describes one revision: of another revision of the name, only
// Accesses counts.
type Status struct {
	Name         string        `json:"name"`
	Revision     digest.Digest `json:"revision"` // manifest digest
	Phase        Phase         `json:"phase"`
	Reason       string        `json:"reason,omitempty"`
	Message      string        `json:"message,omitempty"`
	LastVerified Time          `json:"lastVerified"`          // the last probe that got an answer
	Since        Time          `json:"since"`                 // of the phase
	Failures     int           `json:"failures,omitempty"`    // in a row
	StaleSince   *Time         `json:"staleSince,omitempty"`  // what it says is the last that is known: nothing was asked, or answered, since
	MovedSince   *Time         `json:"movedSince,omitempty"`  // the tag of the image's reference names something else, or nothing
	Accesses     int64         `json:"accessCount,omitempty"` // how often the entry was asked for by name
}

var phases = []Phase{PhasePending, PhaseVerifying, PhaseAvailable, PhaseUnavailable, PhaseFailed}

// ParsePhase returns the phase that a text names, in any case.
func ParsePhase(text string) (phase Phase, ok bool) {
	for _, phase := range phases {
		if strings.EqualFold(string(phase), text) {
			return phase, true
		}
	}
	return "", false
}
