package entry

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/schema"
)

// The closed set of error kinds. Every error that a package of this project
// returns for a reason its caller can act on wraps exactly one of them.
var (
	// ErrNotFound: the thing asked for does not exist, and the registry said so.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it exists already, or another entry holds the image.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: what the caller gave (a name, a reference, a document) is
	// malformed.
	ErrInvalid = errors.New("invalid")
	// ErrMalformed: what a registry holds there is no image, lies about itself,
	// or is of a kind that is not supported. Asking again changes nothing.
	ErrMalformed = errors.New("malformed")
	// ErrUnauthorized: the registry wants other credentials, or more rights.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrTimeout: the time allowed for the operation ran out.
	ErrTimeout = errors.New("timed out")
	// ErrUntrusted: unsigned, untrusted or invalid where a signature is required.
	ErrUntrusted = errors.New("not trusted")
	// ErrUnreachable: a registry could not be asked, throttled, failed, or
	// answered with something that is not an answer. It says nothing about
	// whether the thing asked for exists.
	ErrUnreachable = errors.New("unreachable")
)

// Problem is one violation found in a document.
type Problem = schema.Problem

// ValidationError reports a document that violates its JSON Schema. It is an
// ErrInvalid.
type ValidationError struct {
	Document string    // "entry" or "removal"
	Problems []Problem // never empty; at most schema.MaxProblems
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
