package server

import (
	"context"
	"net/http"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/page"
)

// historyWithin bounds how long the page of an entry waits for its history.
const historyWithin = 5 * time.Second

// entryPage answers GET /entry/{name}.
func (s *Server) entryPage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, r, func(ctx context.Context, now *state) ([]byte, int, error) {
		shown, err := s.findEntry(ctx, now, r)
		if err != nil {
			return nil, 0, err
		}
		within, cancel := context.WithTimeout(ctx, historyWithin)
		defer cancel()
		if shown.History, err = s.happened(within, shown.Item.Name, shown.Item.Catalog); err != nil {
			shown.HistoryProblem = "The history cannot be read now."
		}
		html, err := s.pages.Entry(shown)
		return html, http.StatusOK, err
	})
}

// findEntry returns the entry that a request for its page means.
func (s *Server) findEntry(ctx context.Context, now *state, r *http.Request) (*page.Entry, error) {
	values, err := parseValues(r.URL.RawQuery, nil, "version", "as-of", "catalog")
	if err != nil {
		return nil, err
	}
	shown := &page.Entry{Frame: s.frame(r), Query: values}
	name, label := r.PathValue("name"), values.Get("catalog")
	asOf, _, err := parseMoment(values, "as-of")
	if err != nil {
		return nil, err
	}
	i := now.byName[name]
	if label != "" {
		i = now.byKey[health.Key{Catalog: label, Name: name}]
	}
	switch version := values.Get("version"); {
	case version != "" || !asOf.IsZero():
		shown.Item, err = s.past(ctx, now, pastEntry{name: name, version: version, catalog: label, asOf: asOf})
		shown.Past = i == nil || i.subject.revision != shown.Item.Revision
	case i == nil:
		err = now.absent(name)
	default:
		if i.accesses != nil {
			i.accesses.Add(1)
		}
		shown.Item, err = unmarshal([]byte(i.text))
	}
	if shown.Catalog = shown.Item.Catalog; shown.Catalog == "" {
		shown.Catalog = s.follower.followed[0].catalog.Reference()
	}
	return shown, err
}

// changesPage answers GET /changes.
func (s *Server) changesPage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, r, func(ctx context.Context, _ *state) ([]byte, int, error) {
		values, err := parseValues(r.URL.RawQuery, nil, "from")
		if err != nil {
			return nil, 0, err
		}
		from, err := parseCount(values.Get("from"))
		if err != nil {
			return nil, 0, err
		}
		events, err := s.happened(ctx, "", "")
		if err != nil {
			return nil, 0, err
		}
		changes := &page.Changes{Frame: s.frame(r), Total: len(events), From: from}
		for n := len(events) - 1 - from; n >= 0 && len(changes.Events) < pageSize; n-- {
			changes.Events = append(changes.Events, events[n])
		}
		html, err := s.pages.Changes(changes)
		return html, http.StatusOK, err
	})
}

// docsPage answers GET /docs.
func (s *Server) docsPage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, r, func(context.Context, *state) ([]byte, int, error) {
		described, err := description()
		if err != nil {
			return nil, 0, err
		}
		html, err := s.pages.Docs(&page.Docs{Frame: s.frame(r), Description: described.plain.body})
		return html, http.StatusOK, err
	})
}
