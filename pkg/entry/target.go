package entry

import (
	"fmt"
	"strings"
)

// maxTarget bounds the name of a target, in characters.
const maxTarget = 256

// targetInside is what the name of a target is made of.
const targetInside = nameEnds + "._-"

// TargetName returns the one spelling of a target's name: in lower case, without
// spaces around it. What is then empty, longer than 256 characters, or made of
// others than a-z, 0-9, ".", "_" and "-", is an ErrTarget.
func TargetName(text string) (string, error) {
	name := foldTarget(text)
	if name == "" || len(name) > maxTarget || strings.Trim(name, targetInside) != "" {
		return "", &targetError{shorten(text)}
	}
	return name, nil
}

// targetError is an ErrTarget.
type targetError struct{ name string }

func (e *targetError) Error() string {
	return fmt.Sprintf("%v: target %q: want at most %d of a-z, 0-9, '.', '_' and '-'", ErrInvalid, e.name, maxTarget)
}

func (e *targetError) Unwrap() error { return ErrTarget }

// SameTarget reports whether two names are of one target. Entries may hold names
// that TargetName refuses today: those are compared too.
func SameTarget(a, b string) bool { return foldTarget(a) == foldTarget(b) }

// foldTarget makes names equal that are of one target.
func foldTarget(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
