package server

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// The way of a list request: its query is parsed, the entries are selected, and the
// page is encoded and written; what was asked before is written at once.

// list answers GET /v1/catalog/images.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	now := s.current(w, r)
	if now == nil {
		return
	}
	if a := now.lists.get(r.URL.RawQuery); a != nil {
		s.metrics.hits.Inc()
		s.send(w, r, a)
		return
	}
	s.metrics.misses.Inc()
	q, err := parseListQuery(r.URL.RawQuery)
	if err == nil && len(q.query.Signed) > 0 && now.policy == nil {
		err = badQuery("signed: this server checks no signatures: it has no trust policy")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	lasting := q.isLasting()
	a, err := s.compute(r, func(ctx context.Context) (a *body, err error) {
		if !q.isOfState() {
			return s.listFresh(ctx, now, q)
		}
		a, known, err := now.list(ctx, q)
		lasting = lasting && known
		return a, err
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if lasting {
		now.lists.put(r.URL.RawQuery, a)
	}
	s.send(w, r, a)
}

// listFresh answers what the state does not hold.
func (s *Server) listFresh(ctx context.Context, now *state, q listQuery) (*body, error) {
	items, rest, err := s.fresh(ctx, now, q)
	if err != nil {
		return nil, err
	}
	outlines, all := outlinesOf(items)
	return writePage(q, all, rest, func(n int) *entry.Outline { return &outlines[n] }, func(n int) (string, error) {
		text, err := marshal(&items[n])
		return string(text), err
	})
}

// fresh returns what a query that the state does not answer could find.
func (s *Server) fresh(ctx context.Context, now *state, q listQuery) (items []entry.Item, rest besides, err error) {
	sc := s.scopeOf(ctx)
	rest.absent = now.missing
	asked := q.query
	asked.Latest = asked.Latest && sc == nil // the latest of those that are seen are chosen later
	for _, f := range s.follower.followed {
		view := f.last()
		if view == nil {
			return nil, rest, errNoIndex
		}
		then, refused, err := view.List(ctx, serving.ListOptions{Query: asked, Image: q.image, AsOf: q.asOf})
		if err != nil {
			return nil, rest, err
		}
		rest.refused += refused
		if sc != nil {
			then = slices.DeleteFunc(then, func(item entry.Item) bool { return !sc.sees(f.catalog.Reference(), item.Name) })
		}
		for i := range then {
			then[i].Catalog = s.follower.label(f)
		}
		items = append(items, then...)
	}
	if sc != nil {
		rest.refused, _ = now.couldMatch(ctx, q.query) // those of now: of others it cannot be told who may know of them
	}
	return items, rest, nil
}

// outlinesOf returns the outlines of items, and the places of all of them.
func outlinesOf(items []entry.Item) (outlines []entry.Outline, all []int) {
	outlines, all = make([]entry.Outline, len(items)), make([]int, len(items))
	for n := range items {
		outlines[n], all[n] = items[n].Outline(), n
	}
	return outlines, all
}

// listQuery is the query of the list route.
type listQuery struct {
	query  entry.Query
	image  string // of catalog.ListOptions
	limit  int
	after  *entry.Outline // the last one of the page before; nil for the first page
	asOf   time.Time      // zero is now
	ages   []string       // both moments as they were given, if one is an age
	facets bool
}

// isOfState reports whether a state has all that the answer needs.
func (q *listQuery) isOfState() bool { return q.asOf.IsZero() && !q.query.Versions && q.image == "" }

// isLasting reports whether the answer is the same as long as the state is.
func (q *listQuery) isLasting() bool { return q.isOfState() && len(q.ages) == 0 }

// parseListQuery reads the query of the list route. Its defaults are those
// that Build API clients expect. The error is an entry.ErrInvalid.
func parseListQuery(raw string) (listQuery, error) {
	q := listQuery{limit: defaultLimit, query: entry.Query{Sort: entry.SortCreated, Latest: true, Phase: entry.PhaseAvailable}}
	values, err := parseValues(raw, []string{"tags", "label", "signed", "target"},
		"architecture", "distro", "phase", "name", "search", "format", "since", "versions", "facets", "sort", "latest", "limit", "continue", "as-of", "image")
	if err != nil {
		return q, err
	}
	f := &q.query
	f.Architecture, f.Distro, f.Targets = values.Get("architecture"), values.Get("distro"), values["target"]
	f.Name, f.Search, f.Format = values.Get("name"), values.Get("search"), values.Get("format")
	if phase := values.Get("phase"); strings.EqualFold(phase, string(entry.PhaseAll)) {
		f.Phase = ""
	} else if phase != "" {
		known, ok := entry.ParsePhase(phase)
		if !ok {
			return q, badQuery("phase %q: want all, or the name of a phase", printable(phase))
		}
		f.Phase = known
	}
	if text := values.Get("sort"); text != "" {
		f.Sort = entry.Sort(text)
	}
	if text := values.Get("limit"); text != "" {
		q.limit, err = strconv.Atoi(text)
		if err != nil || q.limit < 1 || q.limit > maxLimit {
			return q, badQuery("limit %q: want 1 to %d", printable(text), maxLimit)
		}
	}
	for key, into := range map[string]*bool{"latest": &f.Latest, "versions": &f.Versions, "facets": &q.facets} {
		if err := parseBool(values, key, into); err != nil {
			return q, err
		}
	}
	if err := q.moments(values); err != nil {
		return q, err
	}
	if err := q.filters(values); err != nil {
		return q, err
	}
	if err := f.Check(); err != nil {
		return q, err
	}
	if q.image, err = parseImage(values.Get("image")); err != nil {
		return q, err
	}
	return q, q.resume(values.Get("continue"))
}

// moments reads the parameters that are times.
func (q *listQuery) moments(values url.Values) (err error) {
	var asOf, since string
	if q.asOf, asOf, err = parseMoment(values, "as-of"); err == nil {
		q.query.Since, since, err = parseMoment(values, "since")
	}
	if asOf+since != "" {
		q.ages = []string{values.Get("as-of"), values.Get("since")}
	}
	return err
}

// filters reads the parameters that may be repeated.
func (q *listQuery) filters(values url.Values) error {
	for _, text := range values["tags"] {
		for tag := range strings.SplitSeq(text, ",") {
			if tag = strings.TrimSpace(tag); tag == "" {
				return badQuery("tags: an empty word")
			}
			q.query.Tags = append(q.query.Tags, tag)
		}
	}
	for _, text := range values["label"] {
		key, value, found := strings.Cut(text, "=")
		old, taken := q.query.Labels[key]
		if !found || key == "" || (taken && old != value) {
			return badQuery("label %q: want KEY=VALUE, each key once", printable(text))
		}
		if q.query.Labels == nil {
			q.query.Labels = map[string]string{}
		}
		q.query.Labels[key] = value
	}
	for _, text := range values["signed"] {
		for verdict := range strings.SplitSeq(text, ",") {
			if !slices.Contains(verdicts, entry.Verdict(verdict)) {
				return badQuery("signed %q: want one or some of %s, %s, %s, %s, %s", printable(verdict), verdicts[0], verdicts[1], verdicts[2], verdicts[3], verdicts[4])
			}
			q.query.Signed = append(q.query.Signed, entry.Verdict(verdict))
		}
	}
	if len(q.query.Targets)+len(q.query.Tags)+len(q.query.Labels)+len(q.query.Signed) > maxFilters {
		return badQuery("more than %d targets, tags, labels and verdicts", maxFilters)
	}
	slices.Sort(q.query.Targets)
	q.query.Targets = slices.Compact(q.query.Targets)
	slices.Sort(q.query.Signed) // a token belongs to all that ask for the same
	q.query.Signed = slices.Compact(q.query.Signed)
	return nil
}

// list answers a query of the list route. known tells that all is known that decides
// how many refused names the query could match.
func (s *state) list(ctx context.Context, q listQuery) (a *body, known bool, err error) {
	refused, known := s.couldMatch(ctx, q.query)
	a, err = writePage(q, s.entries, besides{refused, s.missing}, func(e *servedEntry) *entry.Outline { return &e.outline },
		func(e *servedEntry) (string, error) { return e.text, nil })
	return a, known, err
}

// besides is what an answer says beside the entries.
type besides struct {
	refused int      // names that the policy keeps back and the query could match
	absent  []string // catalogs that do not exist
}

// found is one page of what a query finds.
type found[T any] struct {
	matched []T
	total   int // on all pages
	facets  entry.Facets
	next    string // the token of the next page
}

// find cuts one page out of what the query finds.
func find[T any](q listQuery, all []T, outline func(T) *entry.Outline) (f found[T]) {
	matched := entry.Pick(q.query, all, outline)
	f.total = len(matched)
	if q.facets {
		f.facets = entry.Count(matched, outline)
	}
	if q.after != nil {
		at, _ := slices.BinarySearchFunc(matched, q.after, func(a T, b *entry.Outline) int {
			if c := q.query.Compare(outline(a), b); c != 0 {
				return c
			}
			return -1 // the one that was the last is behind us
		})
		matched = matched[at:]
	}
	if len(matched) > q.limit {
		matched = matched[:q.limit]
		f.next = q.next(outline(matched[len(matched)-1]))
	}
	f.matched = matched
	return f
}

// writePage writes one page of what the query finds.
func writePage[T any](q listQuery, all []T, rest besides, outline func(T) *entry.Outline, write func(T) (string, error)) (*body, error) {
	f := find(q, all, outline)
	var body bytes.Buffer
	body.WriteString(`{"items":[`)
	for n, match := range f.matched {
		if n > 0 {
			body.WriteByte(',')
		}
		text, err := write(match)
		if err != nil {
			return nil, err
		}
		body.WriteString(text)
	}
	body.WriteString(`],"total":` + strconv.Itoa(f.total))
	if rest.refused > 0 {
		body.WriteString(`,"refused":` + strconv.Itoa(rest.refused))
	}
	if len(rest.absent) > 0 {
		references, err := marshal(rest.absent)
		if err != nil {
			return nil, err
		}
		body.WriteString(`,"absent":` + string(references))
	}
	if q.facets {
		counts, err := marshal(f.facets)
		if err != nil {
			return nil, err
		}
		body.WriteString(`,"facets":` + string(counts))
	}
	if f.next != "" {
		body.WriteString(`,"continue":` + strconv.Quote(f.next))
	}
	body.WriteString("}")
	return newBody(slices.Clip(body.Bytes())), nil
}

// send writes an answer of the API, or that the client has it already.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *body) {
	if texts := warnings(r); len(texts) > 0 {
		var err error
		if a, err = a.warning(texts); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	w.Header()["Vary"] = varyEncoding
	if s.readers != nil {
		w.Header()["Vary"] = varyReader
	}
	s.sendBody(w, r, a, http.StatusOK, jsonType)
}

// sendBody writes an answer of some media type, or that the client has it already.
func (s *Server) sendBody(w http.ResponseWriter, r *http.Request, a *body, status int, mediaType []string) {
	f := a.form(accepted(r.Header["Accept-Encoding"]))
	header := w.Header()
	header["Etag"] = f.etag()
	if s.follower.isStale() {
		header["X-Caib-Stale"] = staleMark
	}
	if known := r.Header["If-None-Match"]; status == http.StatusOK && len(known) > 0 && f.matches(known) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = mediaType
	header["Content-Length"] = f.length()
	if f.encoding != identity {
		header["Content-Encoding"] = contentEncodings[f.encoding]
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body) // a client that went away needs no answer
	}
}
