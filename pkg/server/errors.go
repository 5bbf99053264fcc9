package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// kinds is the one table from error kinds to HTTP status. The first row whose
// kind an error wraps decides.
var kinds = []struct {
	kind   error
	status int
	code   string
}{
	{entry.ErrInvalid, http.StatusBadRequest, "invalid"},
	{entry.ErrUnauthorized, http.StatusForbidden, "unauthorized"},
	{entry.ErrUnreachable, http.StatusBadGateway, "unreachable"},
	{entry.ErrMalformed, http.StatusUnprocessableEntity, "malformed"},
	{entry.ErrTimeout, http.StatusGatewayTimeout, "timeout"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout"},
	{entry.ErrUntrusted, http.StatusForbidden, "untrusted"},
	{entry.ErrConflict, http.StatusConflict, "conflict"},
	{entry.ErrNotFound, http.StatusNotFound, "not_found"},
}

// apiError is an error that has a status of HTTP.
type apiError struct {
	Problem
	status int
}

func (e *apiError) Error() string { return e.Sentence }

func problem(status int, code, sentence string) *apiError {
	return &apiError{Problem{Sentence: sentence, Code: code}, status}
}

// fail answers an error, as far as the client may be told it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = s.told(w, r, err)
	}
	body, err := json.Marshal(e.Problem)
	if err != nil {
		body = []byte(`{"error":"the error cannot be shown","code":"failure"}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away needs no answer
	}
}

// fault is one thing that is wrong with a document.
type fault struct {
	Pointer string `json:"pointer"` // JSON pointer
	Reason  string `json:"reason"`
}

func faults(problems []schema.Problem) []fault {
	all := make([]fault, len(problems))
	for i, p := range problems {
		all[i] = fault(p)
	}
	return all
}

// problemOf is an error as the API shows it.
func problemOf(err error) *apiError {
	var invalid *entry.ValidationError
	for _, row := range kinds {
		if !errors.Is(err, row.kind) {
			continue
		}
		e := problem(row.status, row.code, err.Error())
		if errors.As(err, &invalid) {
			e.Details = faults(invalid.Problems)
		}
		return e
	}
	return problem(http.StatusInternalServerError, "failure", err.Error())
}
