package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
	maxQuery     = 4096 // bytes
	maxFilters   = 64   // tags, labels and verdicts of one query
)

// listQuery is the query of the list route.
type listQuery struct {
	query entry.Query
	limit int
	after *entry.Outline // the last one of the page before; nil for the first page
	asOf  time.Time      // zero is now
}

func badQuery(format string, args ...any) error {
	return fmt.Errorf("%w: query: %s", entry.ErrInvalid, fmt.Sprintf(format, args...))
}

// parseValues reads a query whose parameters are all among those allowed, and
// only those of several given more than once.
func parseValues(raw string, several []string, once ...string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, badQuery("longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("malformed")
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch {
		case slices.Contains(several, key):
		case !slices.Contains(once, key):
			return nil, badQuery("unknown parameter %q", printable(key))
		case len(values[key]) > 1:
			return nil, badQuery("%s is given twice", key)
		}
		for _, value := range values[key] {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				return nil, badQuery("%s is not plain text", key)
			}
			if value == "" {
				return nil, badQuery("%s is empty", key)
			}
		}
	}
	return values, nil
}

// printable keeps a stranger's word short and quotable.
func printable(text string) string {
	if len(text) > 64 {
		text = text[:64]
	}
	return strings.ToValidUTF8(text, "?")
}

// parseListQuery reads the query of the list route. Its defaults are those
// that Build API clients expect. The error is an entry.ErrInvalid.
func parseListQuery(raw string) (listQuery, error) {
	q := listQuery{limit: defaultLimit, query: entry.Query{Sort: entry.SortCreated, Latest: true, Phase: entry.PhaseAvailable}}
	values, err := parseValues(raw, []string{"tags", "label", "signed"},
		"architecture", "distro", "target", "phase", "sort", "latest", "limit", "continue", "as-of")
	if err != nil {
		return q, err
	}
	q.query.Architecture, q.query.Distro, q.query.Target = values.Get("architecture"), values.Get("distro"), values.Get("target")
	if phase := values.Get("phase"); strings.EqualFold(phase, "all") {
		q.query.Phase = ""
	} else if phase != "" {
		known, ok := entry.ParsePhase(phase)
		if !ok {
			return q, badQuery("phase %q: want all, or the name of a phase", printable(phase))
		}
		q.query.Phase = known
	}
	if text := values.Get("sort"); text != "" {
		q.query.Sort = entry.Sort(text)
	}
	if err := q.query.Check(); err != nil {
		return q, err
	}
	switch text := values.Get("latest"); text {
	case "", "true":
	case "false":
		q.query.Latest = false
	default:
		return q, badQuery("latest %q: want true or false", printable(text))
	}
	if text := values.Get("limit"); text != "" {
		q.limit, err = strconv.Atoi(text)
		if err != nil || q.limit < 1 || q.limit > maxLimit {
			return q, badQuery("limit %q: want 1 to %d", printable(text), maxLimit)
		}
	}
	if q.asOf, err = parseAsOf(values); err != nil {
		return q, err
	}
	if err := q.filters(values); err != nil {
		return q, err
	}
	return q, q.resume(values.Get("continue"))
}

func parseAsOf(values url.Values) (time.Time, error) {
	text := values.Get("as-of")
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, badQuery("as-of %q: want a time such as 2026-03-01T12:00:00Z", printable(text))
	}
	return at, nil
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
	if len(q.query.Tags)+len(q.query.Labels)+len(q.query.Signed) > maxFilters {
		return badQuery("more than %d tags, labels and verdicts", maxFilters)
	}
	slices.Sort(q.query.Signed) // a token belongs to all that ask for the same
	q.query.Signed = slices.Compact(q.query.Signed)
	return nil
}

// position is what a continue token holds: the last entry of a page, as far as
// the order needs it, and the query that it belongs to. It means the same to
// every server, and after any change.
type position struct {
	Query   string `json:"q"`
	Created int64  `json:"t"` // Unix milliseconds
	Size    int64  `json:"s,omitempty"`
	Name    string `json:"n"`
	Catalog string `json:"c,omitempty"`
}

// fingerprint tells queries apart, whatever their limit and their spelling.
func (q *listQuery) fingerprint() string {
	filters := q.query
	filters.Limit = 0
	text, err := json.Marshal(struct {
		Query entry.Query
		AsOf  int64
	}{filters, q.asOf.UnixMilli()}, json.Deterministic(true))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// next is the token for the page after the one that ends with item.
func (q *listQuery) next(last *entry.Outline) string {
	text, err := json.Marshal(position{q.fingerprint(), last.CreatedAt.UnixMilli(), last.SizeBytes, last.Name, last.Catalog})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// resume reads a token.
func (q *listQuery) resume(token string) error {
	if token == "" {
		return nil
	}
	var p position
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &p, json.RejectUnknownMembers(true))
	}
	if err != nil || entry.CheckName(p.Name) != nil {
		return badQuery("continue: not a token of this server")
	}
	if p.Query != q.fingerprint() {
		return badQuery("continue: the token belongs to another query")
	}
	q.after = &entry.Outline{Name: p.Name, Catalog: p.Catalog, SizeBytes: p.Size, CreatedAt: entry.NewTime(time.UnixMilli(p.Created))}
	return nil
}
