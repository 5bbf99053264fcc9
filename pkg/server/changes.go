package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// maxMoves bounds the moves that are known of the past: whoever asks since an earlier
// state reads all decisions.
const maxMoves = 4096

// decisions are what decides each name, as far as it has come in the log of its
// catalog. A name moves forward only: what is taken away or refused later leaves it
// where it is. They are never changed.
type decisions struct {
	of    map[health.Key]decided
	hash  string // names them: the same on every server that saw the same
	steps []step // by which the latest of them came about, oldest first

	scoped *scopedDecisions // of which these are a part; nil for all that there are
}

// decided is the revision that decides a name, and what it says, but for those of live
// entries: states have these.
type decided struct {
	tag      revision.Tag
	revision digest.Digest
	verdict  entry.Verdict
	event    *entry.Event // nil: a state's entry says it
}

// step is what moved between two states.
type step struct {
	from  string // hash of the decisions before
	moves []move
}

type move struct {
	key  health.Key
	tag  revision.Tag
	text string // the event as JSON
}

// moved returns the decisions after old that views show, as far as the policy lets
// through what decides a name; old itself where nothing moved. entries are all that
// are shown.
func (f *follower) moved(ctx context.Context, old *decisions, views []serving.View, found []*serving.Evaluation, entries []*servedEntry) (*decisions, error) {
	next := map[health.Key]decided{}
	for n, view := range views {
		label := f.label(f.followed[n])
		for _, d := range view.Decisions() {
			key := health.Key{Catalog: label, Name: d.Tag.Name}
			if last := old.last(key); d.Tag == last || d.Tag.Compare(last) <= 0 {
				continue
			}
			if verdict, admitted := found[n].Admits(d); admitted {
				next[key] = decided{tag: d.Tag, revision: d.Revision, verdict: verdict}
			}
		}
	}
	if old != nil && len(next) == 0 {
		return old, nil
	}
	shown := make(map[health.Key]*servedEntry, len(next))
	for _, e := range entries {
		if d, ok := next[e.key()]; ok && d.revision == e.subject.revision {
			shown[e.key()] = e
		}
	}
	for n, view := range views {
		addEvents(ctx, next, shown, view, f.label(f.followed[n]))
	}
	return old.and(next, shown)
}

// addEvents adds what decides those names of one catalog that have no entry, as far as
// it can be had now: at least the tag says what happened.
func addEvents(ctx context.Context, all map[health.Key]decided, shown map[health.Key]*servedEntry, view serving.View, label string) {
	names := map[string]bool{}
	for key := range all {
		if key.Catalog == label && shown[key] == nil {
			names[key.Name] = true
		}
	}
	if len(names) == 0 {
		return
	}
	events, _ := view.Events(ctx, names)
	said := make(map[string]entry.Event, len(events))
	for _, event := range events {
		said[event.Name] = event
	}
	for name := range names {
		key := health.Key{Catalog: label, Name: name}
		d := all[key]
		event, ok := said[name]
		if !ok {
			event = d.bare(key)
		}
		event.Catalog, event.Verdict = label, d.verdict
		d.event = &event
		all[key] = d
	}
}

// and returns the decisions after some names moved, of which live entries are shown.
// nil has none, and knows no past.
func (d *decisions) and(next map[health.Key]decided, shown map[health.Key]*servedEntry) (*decisions, error) {
	if d == nil {
		return &decisions{of: next, hash: hashOf(next)}, nil
	}
	moves := make([]move, 0, len(next))
	for key, one := range next {
		text, err := one.text(key, shown[key])
		if err != nil {
			return nil, err
		}
		moves = append(moves, move{key, one.tag, text})
	}
	all := maps.Clone(d.of)
	maps.Copy(all, next)
	after := &decisions{of: all, hash: hashOf(all), steps: append(slices.Clip(d.steps), step{d.hash, moves})}
	count := 0
	for n := len(after.steps) - 1; n >= 0; n-- {
		if count += len(after.steps[n].moves); count > maxMoves {
			after.steps = slices.Clone(after.steps[n+1:])
			break
		}
	}
	return after, nil
}

// last is the tag that decides a name; the zero Tag, which comes before all, is none.
func (d *decisions) last(key health.Key) revision.Tag {
	if d == nil {
		return revision.Tag{}
	}
	return d.of[key].tag
}

// hashOf is what decisions are named by.
func hashOf(all map[health.Key]decided) string {
	lines := make([]string, 0, len(all))
	for key, one := range all {
		lines = append(lines, key.Catalog+" "+one.tag.String()+"\n")
	}
	slices.Sort(lines)
	sum := sha256.New()
	for _, line := range lines {
		_, _ = io.WriteString(sum, line) // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil)[:hashSize])
}

// text is the event as the API shows it. e is the entry that the name has in a state;
// nil is none.
func (d *decided) text(key health.Key, e *servedEntry) (string, error) {
	event := d.bare(key)
	switch {
	case d.event != nil:
		event = *d.event
	case e != nil && e.subject.revision == d.revision:
		item, err := unmarshal([]byte(e.text))
		if err != nil {
			return "", err
		}
		event.Version, event.By, event.Build = item.Version, item.PublishedBy, item.Build
		event.Image, event.ImageDigest = item.RegistryURL, item.Digest
	}
	text, err := marshal(event)
	return string(text), err
}

// bare is as much of the event as the tag says.
func (d *decided) bare(key health.Key) entry.Event {
	return entry.Event{
		Name: key.Name, At: d.tag.Time(), Operation: d.tag.Op.String(), Revision: d.revision, Tag: d.tag.String(),
		Verdict: d.verdict, Catalog: key.Catalog,
	}
}

// since returns the last moves of all names that moved after other decisions. known is
// false for decisions that are not remembered.
func (d *decisions) since(hash string) (moves []move, known bool) {
	if hash == d.hash {
		return nil, true
	}
	if d.scoped != nil {
		return d.scoped.since(hash)
	}
	at := slices.IndexFunc(d.steps, func(s step) bool { return s.from == hash })
	if at < 0 {
		return nil, false
	}
	last := map[health.Key]move{}
	for _, step := range d.steps[at:] {
		for _, m := range step.moves {
			last[m.key] = m
		}
	}
	return slices.Collect(maps.Values(last)), true
}

// answer is moves as an api.Changes, in the order of the log. Its ETag is the state.
func (d *decisions) answer(moves []move) *body {
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(a.tag.Compare(b.tag), strings.Compare(a.key.Catalog, b.key.Catalog))
	})
	var text bytes.Buffer
	text.WriteString(`{"items":[`)
	for n, m := range moves {
		if n > 0 {
			text.WriteByte(',')
		}
		text.WriteString(m.text)
	}
	text.WriteString(`],"state":"` + d.hash + `"}`)
	return &body{plain: newForm(text.Bytes(), identity, d.hash)}
}

var errUnknownState = problem(http.StatusGone, "not_found", "what moved since that state is not known any more: ask without since, and compare")

// changes answers GET /v1/catalog/changes.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	now := s.current(w, r)
	if now == nil {
		return
	}
	values, err := parseValues(r.URL.RawQuery, nil, "since")
	since := ""
	if err == nil && values.Has("since") {
		since, err = parseState(values.Get("since"))
	}
	if err == nil && now.decisions == nil { // it is from the disk
		w.Header().Set("Retry-After", "1")
		err = errNoIndex
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var a *body
	if since == now.decisions.hash {
		a = now.decisions.answer(nil)
	} else {
		a, err = s.compute(r, func(context.Context) (*body, error) { return now.changes(since) })
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.send(w, r, a)
}

// changes answers what moved since other decisions, or, for "", all that are.
func (s *state) changes(since string) (*body, error) {
	d := s.decisions
	if since != "" {
		moves, known := d.since(since)
		if !known {
			return nil, errUnknownState
		}
		return d.answer(moves), nil
	}
	moves := make([]move, 0, len(d.of))
	for key, one := range d.of {
		text, err := one.text(key, s.find(key))
		if err != nil {
			return nil, err
		}
		moves = append(moves, move{key, one.tag, text})
	}
	return d.answer(moves), nil
}

// parseState reads the state of an answer, or one of the ETags that it was sent with.
func parseState(text string) (string, error) {
	hash := strings.Trim(strings.TrimPrefix(text, "W/"), `"`)
	for _, name := range encodingNames[gzipped:] {
		hash = strings.TrimSuffix(hash, "-"+name)
	}
	if sum, err := hex.DecodeString(hash); err != nil || len(sum) != hashSize {
		return "", badQuery("since %q: want the state of an answer of this route", printable(text))
	}
	return hash, nil
}
