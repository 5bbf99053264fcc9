package entry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/schema"
)

// The closed set of error kinds. Every error that a package of this project
// returns for a reason its caller can act on is of one of them.
var (
	// ErrNotFound: the thing asked for does not exist, and the registry said so.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it exists already, or another entry holds the image.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: what the caller gave (a name, a reference, a document) is none.
	ErrInvalid = errors.New("invalid")
	// ErrMalformed: what a registry holds there is no image or no revision, lies
	// about itself, or is of a kind or format that is not supported. Asking again
	// changes nothing.
	ErrMalformed = errors.New("malformed")
	// ErrUnauthorized: the registry wants other credentials, or more rights.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrTimeout: the time allowed for the operation ran out. It is also a
	// context.DeadlineExceeded.
	ErrTimeout error = timeout{}
	// ErrUntrusted: unsigned, untrusted or invalid where a signature is required.
	ErrUntrusted = errors.New("not trusted")
	// ErrUnreachable: a registry could not be asked, throttled, failed, or
	// answered with something that is not an answer. It says nothing about
	// whether the thing asked for exists.
	ErrUnreachable = errors.New("unreachable")
)

type timeout struct{}

func (timeout) Error() string        { return "timed out" }
func (timeout) Is(target error) bool { return target == context.DeadlineExceeded }

// kinds are in the order in which they decide, where an error is of several: an
// answer that nobody could give weighs more than what the others said.
var kinds = []struct {
	kind error
	code string
}{
	{ErrInvalid, "invalid"},
	{ErrUnauthorized, "unauthorized"},
	{ErrUnreachable, "unreachable"},
	{ErrTimeout, "timeout"},
	{context.DeadlineExceeded, "timeout"},
	{ErrMalformed, "malformed"},
	{ErrUntrusted, "untrusted"},
	{ErrConflict, "conflict"},
	{ErrNotFound, "not_found"},
}

// Code returns the code of an error's kind, as JSON output and the HTTP API have
// it: invalid, unauthorized, unreachable, timeout, malformed, untrusted, conflict
// or not_found. It is "" for an error of no kind, and for nil.
func Code(err error) string {
	for _, row := range kinds {
		if errors.Is(err, row.kind) {
			return row.code
		}
	}
	return ""
}

// Kind returns the error kind that has a code, or nil.
func Kind(code string) error {
	for _, row := range kinds {
		if row.code == code {
			return row.kind
		}
	}
	return nil
}

// Reasons of a kind, for who has more to say about them.
var (
	// ErrName: what was given cannot be the name of an entry. It is an ErrInvalid.
	ErrName error = &reason{text: "no name of an entry", kind: ErrInvalid}
	// ErrTarget: what was given cannot be the name of a target, or a note is given
	// for a target that nobody names. It is an ErrInvalid.
	ErrTarget error = &reason{text: "no target", kind: ErrInvalid}
	// ErrDigest: an image has another digest than it must have. It is an ErrConflict.
	ErrDigest error = &reason{text: "another digest", kind: ErrConflict}
	// ErrLaterFormat: the entry's head is of a later version of the format than
	// this code reads. It is an ErrMalformed.
	ErrLaterFormat error = &reason{text: "of a later format", kind: ErrMalformed}
	// ErrNoRoom: a disk has less room than what is to be written to it. It is an
	// ErrMalformed, but says nothing about the bytes.
	ErrNoRoom error = &reason{text: "no room", kind: ErrMalformed}
)

type reason struct {
	text string
	kind error
}

func (r *reason) Error() string        { return r.text }
func (r *reason) Is(target error) bool { return target == r.kind }

// ValidationError reports a document that violates its JSON Schema. It is an
// ErrInvalid.
type ValidationError struct {
	Document string           // "entry" or "removal"
	Problems []schema.Problem // never empty; at most schema.MaxProblems
}

// Error lists every problem, "; " between them. A pointer holds names that a
// stranger chose: what is not printable is escaped.
func (e *ValidationError) Error() string {
	reasons := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		quoted := strconv.Quote(cmp.Or(p.Pointer, "/"))
		reasons[i] = quoted[1:len(quoted)-1] + ": " + p.Reason
	}
	return fmt.Sprintf("%s document: %s", e.Document, strings.Join(reasons, "; "))
}

// Is makes the error an ErrInvalid.
func (e *ValidationError) Is(target error) bool { return target == ErrInvalid }
