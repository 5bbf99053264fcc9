package server

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What a registry answered to the server is not for everybody: the server asks on
// behalf of clients who may not reach that registry, hosts that anybody who can
// write to a catalog chose. Clients without a token are told the kind of a
// failure, the others and the log all of it.

// withoutToken are the sentences that clients without a token are told instead,
// by code.
var withoutToken = map[string]string{
	"invalid":      "what the registry has there is no image",
	"unauthorized": "the registry refuses the account that it is asked as",
	"unreachable":  "the registry does not answer, or not as a registry does",
	"timeout":      "the registry did not answer in time",
	"untrusted":    "the image or its entry is not signed as it must be",
	"conflict":     "the reference names another image than the one that was published",
	"not_found":    "the registry has no such image, or not all of it",
	"failure":      "it failed",
}

const moreForTokens = ": the server's log, and clients with a token, are told more"

// presented returns the name of the token that a request brings along; "" for
// none of ours.
func (s *Server) presented(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if s.tokens == nil || !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	return s.tokens.who(strings.TrimSpace(token))
}

// hasToken reports whether a request may be told what registries answered.
func (s *Server) hasToken(r *http.Request) bool {
	if who(r.Context()) != "" {
		return true
	}
	name, err := s.presented(r)
	return err == nil && name != ""
}

// forClient is an error as a client may be told it. Of what is not told, the log has a
// line. Without a token, the server's own words about a request are told, and of
// an image's registry nothing.
func (s *Server) forClient(w http.ResponseWriter, r *http.Request, err error) *api.Problem {
	e := problemOf(err)
	ours := slices.Contains([]string{"invalid", "not_found", "conflict"}, e.Code) || errors.Is(err, gate.ErrNotAllowed)
	if ours || s.hasToken(r) {
		return e
	}
	if refused, ok := errors.AsType[*trust.Error](err); ok {
		return s.withoutReason(w, r, refused, e)
	}
	return s.withheld(w, r, e)
}

// withheld is a problem with a sentence for everybody.
func (s *Server) withheld(w http.ResponseWriter, r *http.Request, e *api.Problem) *api.Problem {
	s.log.LogAttrs(r.Context(), slog.LevelWarn, "told to nobody but the log", slog.String("id", requestID(w)), slog.String("error", e.Sentence))
	return &api.Problem{Sentence: withoutToken[e.Code] + moreForTokens, Code: e.Code, Status: e.Status}
}

// verified is what was found out about the entry of an image as a client may be told
// it.
func (s *Server) verified(w http.ResponseWriter, r *http.Request, of subject, found catalog.Verification, err error) (*catalog.Verification, *api.Problem) {
	var failure *api.Problem
	if err != nil {
		failure = problemOf(err)
	}
	if s.hasToken(r) || errors.Is(err, gate.ErrNotAllowed) {
		return &found, failure
	}
	if failure != nil {
		failure = s.withheld(w, r, failure)
	}
	checks := slices.Clone(found.Checks)
	for n := range checks {
		reason := ""
		if ofCatalog := []trust.Subject{trust.SubjectEntry, trust.SubjectLatest, trust.SubjectOrigin}; slices.Contains(ofCatalog, checks[n].What) && checks[n].Result != catalog.Unknown {
			reason = checks[n].Reason
		}
		switch c := &checks[n]; {
		case c.Result == catalog.Moved && c.Digest == "":
			reason = c.Reason // that there is no such tag
		case c.Result == catalog.Moved:
			reason, c.Digest = of.reference+" names another image now", ""
		}
		if checks[n].What == catalog.CheckDigest && err != nil && checks[n].Result != catalog.OK {
			reason = "resolve " + entry.Pinned(of.reference, of.digest) + ": " + kindOf(err) // nothing else was checked then
		}
		checks[n].Reason = reason
	}
	found.Checks = checks
	return &found, failure
}

// kindOf is the kind of an error, in words.
func kindOf(err error) string {
	if kind := entry.Kind(entry.Code(err)); kind != nil {
		return kind.Error()
	}
	return "failed"
}

// withoutRegistryWords leaves out of an item what somebody recorded in the words of a
// registry.
func withoutRegistryWords(item *entry.Item) {
	item.StatusMessage = health.Message(item.Phase, item.StatusReason)
	conditions := slices.Clone(item.Conditions)
	for n := range conditions {
		if conditions[n].Type == health.ConditionAvailable {
			conditions[n].Message = item.StatusMessage
		}
	}
	item.Conditions = conditions
}
