package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/entry"
)

const maxBody = 256 << 10 // bytes

// readBody reads a request's JSON object, all of whose members are known.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return problem(http.StatusRequestEntityTooLarge, "invalid", fmt.Sprintf("the body is longer than %d bytes", maxBody))
	case err != nil:
		return fmt.Errorf("%w: body: it ends early", entry.ErrInvalid)
	}
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: body: %s", entry.ErrInvalid, malformed(err))
	}
	return nil
}

// malformed says what is wrong with a JSON text in terms of that text: the
// decoder's own words are about Go types, and change.
func malformed(err error) string {
	var member *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &member) && errors.Is(err, json.ErrUnknownName):
		return fmt.Sprintf("there is no member %q", printable(string(member.JSONPointer)))
	case errors.As(err, &member):
		return fmt.Sprintf("the value of %q is of the wrong kind", printable(string(member.JSONPointer)))
	case errors.As(err, &syntax):
		return fmt.Sprintf("no JSON at byte %d, or a member given twice", syntax.ByteOffset)
	}
	return "no JSON object"
}
