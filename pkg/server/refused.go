package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// refusal is a name that the policy does not let through.
type refusal struct {
	key   health.Key
	err   error
	entry *servedEntry // what it would be; nil where nothing is live
	view  serving.View // that shows what decides it
	after int          // entries of the catalogs before its own, by which is told which one has a name first
}

func (r *refusal) same(other *refusal) bool {
	return r.key == other.key && r.entry == other.entry && r.after == other.after && r.err.Error() == other.err.Error()
}

// verdicts are all that there are, in the order of the API's description.
var verdicts = []entry.Verdict{entry.VerdictVerified, entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictUnknown}

// findingOf is what a policy makes of a live entry; nil without a policy. What was
// not looked into, because the entry is newer, is unknown.
func findingOf(evaluation *serving.Evaluation, head serving.Head) *serving.Finding {
	if evaluation == nil {
		return nil
	}
	if found := evaluation.Findings[head.Name]; found != nil && found.Revision == head.Revision {
		return found
	}
	return &serving.Finding{Revision: head.Revision, Verdict: entry.VerdictUnknown, Err: &trust.Error{
		What: fmt.Sprintf("entry %q", head.Name), Digest: head.Revision, Verdict: entry.VerdictUnknown, Reason: "they were not checked yet",
	}}
}

// screen parts the entries of one catalog, which are those that view has live, from
// what the policy refuses of it. after is how many are shown of the catalogs before.
func screen(evaluation *serving.Evaluation, label string, view serving.View, entries []*servedEntry, after int) (shown []*servedEntry, refused []*refusal) {
	gone := func(e *servedEntry) bool { return e == nil } // deleted since the view
	if evaluation == nil {
		return slices.DeleteFunc(entries, gone), nil
	}
	live := view.Live()
	isLive := make(map[string]bool, len(live))
	for k, head := range live {
		isLive[head.Name] = true
		if found := findingOf(evaluation, head); found.Err != nil {
			refused = append(refused, &refusal{health.Key{Catalog: label, Name: head.Name}, found.Err, entries[k], view, after})
		} else {
			shown = append(shown, entries[k])
		}
	}
	for name, found := range evaluation.Findings {
		if !isLive[name] && found.Err != nil {
			refused = append(refused, &refusal{health.Key{Catalog: label, Name: name}, found.Err, nil, view, after})
		}
	}
	slices.SortFunc(refused, func(a, b *refusal) int { return strings.Compare(a.key.Name, b.key.Name) })
	return slices.DeleteFunc(shown, gone), refused
}

// refuse takes the names out of a state that the policy refuses, unless a catalog
// before has them.
func (s *state) refuse(refused []*refusal) {
	s.refusals = refused
	s.refused, s.hidden = map[string]*refusal{}, map[health.Key]*servedEntry{}
	for _, r := range refused {
		if r.entry != nil {
			s.hidden[r.key] = r.entry
		}
		first := s.byName[r.key.Name]
		if s.refused[r.key.Name] == nil && (first == nil || slices.Index(s.entries, first) >= r.after) {
			s.refused[r.key.Name] = r
			delete(s.byName, r.key.Name)
		}
	}
}

// couldMatch counts the refused names that a query could match. Where it cannot be
// told of some, they are counted, and known is false.
func (s *state) couldMatch(ctx context.Context, q entry.Query) (count int, known bool) {
	known = true
	could := serving.CouldMatch(q, false, s.refusals, func(r *refusal) serving.Refused {
		return serving.Refused{Name: r.key.Name, Err: r.err, Published: r.entry != nil}
	}, func(map[string]bool) (claims map[string][]entry.Outline) {
		claims, known = s.claims(ctx)
		return claims
	})
	return len(could), known
}

// claims returns what the publications of all refused names say that could be read,
// of all catalogs together, and whether it is known of each. That is found out once.
func (s *state) claims(ctx context.Context) (claims map[string][]entry.Outline, known bool) {
	select {
	case s.claiming <- struct{}{}:
		defer func() { <-s.claiming }()
	case <-ctx.Done():
		return nil, false
	}
	if found := s.claimed.Load(); found != nil {
		return *found, true
	}
	names := map[serving.View]map[string]bool{}
	for _, r := range s.refusals {
		if names[r.view] == nil {
			names[r.view] = map[string]bool{}
		}
		names[r.view][r.key.Name] = true
	}
	claims, known = map[string][]entry.Outline{}, true
	unread := map[string]bool{}
	for view, names := range names {
		found, err := view.Claims(ctx, names)
		known = known && err == nil
		for name := range names {
			outlines, told := found[name]
			unread[name] = unread[name] || !told
			claims[name] = append(claims[name], outlines...)
		}
	}
	maps.DeleteFunc(claims, func(name string, _ []entry.Outline) bool { return unread[name] })
	if known {
		s.claimed.Store(&claims)
	}
	return claims, known
}

// find returns the entry with a key, refused or not, or nil.
func (s *state) find(key health.Key) *servedEntry {
	if i := s.byKey[key]; i != nil {
		return i
	}
	return s.hidden[key]
}

// tally counts the names of a state by verdict.
func (s *state) tally() map[entry.Verdict]int {
	counts := make(map[entry.Verdict]int, len(verdicts))
	for _, verdict := range verdicts {
		counts[verdict] = 0
	}
	for _, i := range s.entries {
		counts[i.outline.Verdict]++
	}
	for _, r := range s.refusals {
		if refused, ok := errors.AsType[*trust.Error](r.err); ok {
			counts[refused.Verdict]++
		}
	}
	return counts
}

// withoutReason is a refusal as a client without a token may be told it: not what
// the registry of an image answered, or has there.
func (s *Server) withoutReason(w http.ResponseWriter, r *http.Request, refused *trust.Error, e *api.Problem) *api.Problem {
	if refused.Verdict != entry.VerdictUnknown && refused.Subject != trust.SubjectImage {
		return e
	}
	s.log.LogAttrs(r.Context(), slog.LevelWarn, "told to nobody but the log", slog.String("id", requestID(w)), slog.String("error", e.Sentence))
	bare := *refused
	bare.Reason = ""
	return &api.Problem{Sentence: bare.Error() + moreForTokens, Code: e.Code, Status: e.Status}
}
