package server

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

// statuses is the one table from the codes of error kinds to HTTP status.
var statuses = map[string]int{
	"invalid":      http.StatusBadRequest,
	"unauthorized": http.StatusForbidden,
	"unreachable":  http.StatusBadGateway,
	"timeout":      http.StatusGatewayTimeout,
	"malformed":    http.StatusUnprocessableEntity,
	"untrusted":    http.StatusForbidden,
	"conflict":     http.StatusConflict,
	"not_found":    http.StatusNotFound,
}

// problemError is what the server itself says went wrong, as an error.
type problemError api.Problem

func problem(status int, code, sentence string) *problemError {
	return &problemError{Sentence: sentence, Code: code, Status: status}
}

func (e *problemError) Error() string { return e.Sentence }

func (e *problemError) Unwrap() error { return wire.Kind((*api.Problem)(e)) }

// fail answers an error, as far as the client may be told it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.forClientError(w, r, err)
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"error":"the error cannot be shown","code":"failure"}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away needs no answer
	}
}

// forClientError is an error as a client may be told it.
func (s *Server) forClientError(w http.ResponseWriter, r *http.Request, err error) *api.Problem {
	if own, ok := errors.AsType[*problemError](err); ok {
		return (*api.Problem)(own)
	}
	return s.forClient(w, r, err)
}

// problemOf is an error as the API tells it.
func problemOf(err error) *api.Problem {
	if own, ok := errors.AsType[*problemError](err); ok {
		return (*api.Problem)(own)
	}
	p := &api.Problem{Sentence: err.Error(), Code: "failure", Status: http.StatusInternalServerError}
	if code := entry.Code(err); code != "" {
		p.Code, p.Status = code, statuses[code]
	}
	if invalid, ok := errors.AsType[*entry.ValidationError](err); ok {
		p.Details = invalid.Problems
	}
	if conflict, ok := errors.AsType[*catalog.ConflictError](err); ok && p.Code == "conflict" {
		p.Name, p.Image, p.Revision = conflict.Name, conflict.Image, conflict.Revision
		if p.Revision != "" {
			p.Status = http.StatusPreconditionFailed
		}
	}
	if p.Code == "conflict" && errors.Is(err, entry.ErrDigest) {
		p.Status, p.Reason = http.StatusUnprocessableEntity, api.ReasonDigest // clients of the Build API take 409 for "exists already"
	}
	if p.Code == "unauthorized" && errors.Is(err, gate.ErrNotAllowed) {
		p.Reason = api.ReasonNotAllowed
	}
	return p
}
