package client

import (
	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/kinded"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

// Error is a request that an index server did not serve: its Problem says why, has
// the kind of package entry that its code stands for, and where it says which entry is
// in the way, the error wraps a *catalog.ConflictError. Or no index server answered:
// then it is an entry.ErrUnreachable; an entry.ErrTimeout (and so a
// context.DeadlineExceeded) where the time of its context ran out; or context.Canceled.
type Error struct {
	kinded.Message
	// NoServer says that something answered, and that it is no index server, or
	// another one than this client knows.
	NoServer bool
	Problem  *api.Problem // what the server says; nil where none answered
}

// noAnswer is an operation (method, host and path; or the host) that no server
// answered, and why.
func noAnswer(operation string, cause error) *Error {
	return &Error{Message: kinded.New(cause, "%s: %v", operation, cause)}
}

// problemError is a problem, in the words of the server.
func problemError(p *api.Problem) *Error {
	cause := wire.Kind(p)
	if p.Code == entry.Code(entry.ErrConflict) && p.Name != "" {
		cause = &catalog.ConflictError{Message: kinded.New(cause, "%s", p.Sentence), Name: p.Name, Image: p.Image, Revision: p.Revision}
	}
	return &Error{Message: kinded.New(cause, "%s", p.Sentence), Problem: p}
}

// RefusedError says how many names the policy of a server refuses: the server does
// not list them. It is an entry.ErrUntrusted.
type RefusedError struct {
	kinded.Message
	Host  string // of the server
	Names int
}

func newRefusedError(host string, names int) *RefusedError {
	return &RefusedError{kinded.New(entry.ErrUntrusted, "the policy of the server %s refuses %d of its names: get NAME says why", host, names), host, names}
}
