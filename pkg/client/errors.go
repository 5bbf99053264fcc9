package client

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Error is a request that got no answer of an index server. It is an
// entry.ErrUnreachable; an entry.ErrTimeout (and so a context.DeadlineExceeded) where
// the time of its context ran out; or context.Canceled.
type Error struct {
	Operation string // method, host and path; or the host
	// NoServer says that something answered, and that it is no index server, or
	// another one than this client knows.
	NoServer bool
	Err      error
}

// Error says what was asked, and why there is no answer.
func (e *Error) Error() string { return e.Operation + ": " + e.Err.Error() }

// Unwrap returns why there is no answer.
func (e *Error) Unwrap() error { return e.Err }

// RefusedError says how many names the policy of a server refuses: the server does
// not list them. It is an entry.ErrUntrusted.
type RefusedError struct {
	Host  string // of the server
	Names int
}

// Error says how many, and how to learn more.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the policy of the server %s refuses %d of its names: get NAME says why", e.Host, e.Names)
}

// Is makes it an entry.ErrUntrusted.
func (e *RefusedError) Is(target error) bool { return target == entry.ErrUntrusted }
