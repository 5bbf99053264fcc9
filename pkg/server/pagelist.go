package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/page"
)

// pageSize is how many entries a page of the list has.
const pageSize = 50

// listPage answers GET /.
func (s *Server) listPage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, r, func(ctx context.Context, now *state) ([]byte, int, error) {
		list := &page.List{Frame: s.frame(r)}
		status := http.StatusOK
		err := s.fillList(ctx, now, r.URL.RawQuery, list)
		if errors.Is(err, entry.ErrInvalid) {
			status, list.Problem = http.StatusBadRequest, s.forClientError(w, r, err).Sentence
		} else if err != nil {
			return nil, 0, err
		}
		html, err := s.pages.List(list)
		return html, status, err
	})
}

// fillList answers the query of the page.
func (s *Server) fillList(ctx context.Context, now *state, raw string, list *page.List) error {
	if len(raw) > maxQuery {
		return badQuery("longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return badQuery("malformed")
	}
	list.Later = values.Get("continue") != ""
	list.Query = plainQuery(values)
	q, err := parseListQuery(asListQuery(list.Query, values.Get("continue")))
	if err == nil && len(q.query.Signed) > 0 && now.policy == nil {
		err = badQuery("signed: this server checks no signatures: it has no trust policy")
	}
	if err != nil {
		return err
	}
	if !q.isOfState() {
		items, rest, err := s.fresh(ctx, now, q)
		if err != nil {
			return err
		}
		outlines, all := outlinesOf(items)
		f := find(q, all, func(n int) *entry.Outline { return &outlines[n] })
		list.Total, list.Facets, list.Next, list.Refused, list.Absent = f.total, f.facets, f.next, rest.refused, rest.absent
		for _, n := range f.matched {
			list.Items = append(list.Items, items[n])
		}
		return nil
	}
	list.Refused, _ = now.couldMatch(ctx, q.query)
	f := find(q, now.entries, func(e *servedEntry) *entry.Outline { return &e.outline })
	list.Total, list.Facets, list.Next, list.Absent = f.total, f.facets, f.next, now.missing
	for _, match := range f.matched {
		item, err := unmarshal([]byte(match.text))
		if err != nil {
			return err
		}
		list.Items = append(list.Items, item)
	}
	return nil
}

// plainQuery is a query as the pages hand it on: forms send fields that are empty, and
// how long a page is and that values are counted is not for addresses to say.
func plainQuery(values url.Values) url.Values {
	plain := url.Values{}
	for name, all := range values {
		switch name {
		case "continue", "limit", "facets":
			continue
		}
		for _, value := range all {
			if value = strings.TrimSpace(value); value != "" {
				plain.Add(name, value)
			}
		}
	}
	if plain.Get("sort") == string(entry.SortCreated) {
		plain.Del("sort")
	}
	return plain
}

// asListQuery is a query of a page as one of the list route. A page shows entries in
// every phase, and all of them.
func asListQuery(plain url.Values, token string) string {
	query := url.Values{"phase": {"all"}, "latest": {"false"}, "facets": {"true"}, "limit": {strconv.Itoa(pageSize)}}
	for name, all := range plain {
		query[name] = all
	}
	if token != "" {
		query.Set("continue", token)
	}
	return query.Encode()
}
