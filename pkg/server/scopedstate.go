package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

// within returns as much of a state as a scope lets see: a state of its own, so that
// lists, counts, and ETags are of nothing else. It is made when it is first asked for.
func (s *Server) within(now *state, sc *scope) *state {
	if sc == nil {
		return now
	}
	if made, ok := now.scoped.Load(sc.key); ok {
		return made.(*state)
	}
	part := &state{policy: now.policy, fromCache: now.fromCache, claiming: make(chan struct{}, 1), byKey: map[health.Key]*servedEntry{}, byName: map[string]*servedEntry{}}
	before := make([]int, len(now.entries)+1) // of the entries before each, how many are seen
	for n, e := range now.entries {
		if before[n+1] = before[n]; s.follower.sees(sc, e.key()) {
			before[n+1]++
			part.entries = append(part.entries, e)
		}
	}
	part.index()
	var refused []*refusal
	for _, r := range now.refusals {
		if s.follower.sees(sc, r.key) {
			seen := *r
			seen.after = before[r.after]
			refused = append(refused, &seen)
		}
	}
	part.refuse(refused)
	for _, reference := range now.missing {
		if sc.seesCatalog(reference) {
			part.missing = append(part.missing, reference)
		}
	}
	if now.decisions != nil {
		part.decisions = s.decisionsWithin(now.decisions, sc)
	}
	part.lists = newListCache(part)
	made, _ := now.scoped.LoadOrStore(sc.key, part)
	return made.(*state)
}

// scopedDecisions are those that a scope lets see, of others.
type scopedDecisions struct {
	whole   *decisions
	seen    func(health.Key) bool
	shown   func(text string) string // a move as it may be shown
	earlier map[string]string        // hashes of the whole, by those of what the scope let see of it
}

// decisionsWithin returns the decisions that a scope lets see. Their hash is of these
// alone; which one of the whole it stood for is remembered, for those who ask what
// moved since.
func (s *Server) decisionsWithin(whole *decisions, sc *scope) *decisions {
	part := &decisions{of: map[health.Key]decided{}}
	for key, one := range whole.of {
		if !s.follower.sees(sc, key) {
			continue
		}
		if one.event != nil {
			event := *one.event
			s.follower.withoutNames(sc, &event)
			one.event = &event
		}
		part.of[key] = one
	}
	part.hash = hashOf(part.of)
	part.scoped = &scopedDecisions{
		whole: whole, earlier: s.earlier.add(sc.key, part.hash, whole.hash),
		seen: func(key health.Key) bool { return s.follower.sees(sc, key) },
		shown: func(text string) string {
			var event entry.Event
			if !strings.Contains(text, movedTo) || json.Unmarshal([]byte(text), &event) != nil {
				return text
			}
			s.follower.withoutNames(sc, &event)
			shown, err := marshal(event)
			if err != nil {
				return "{}"
			}
			return string(shown)
		},
	}
	return part
}

// since is decisions.since for those that a scope lets see.
func (d *scopedDecisions) since(hash string) (moves []move, known bool) {
	from, known := d.earlier[hash]
	if !known {
		return nil, false
	}
	moves, known = d.whole.since(from)
	moves = slices.DeleteFunc(moves, func(m move) bool { return !d.seen(m.key) })
	for n := range moves {
		moves[n].text = d.shown(moves[n].text)
	}
	return moves, known
}

// maxEarlier bounds the states that are remembered for a scope.
const maxEarlier = 256

// earlier remembers, by scope, which decisions the hashes stood for that readers have.
type earlier struct {
	mu sync.Mutex
	of map[string][][2]string
}

// add remembers one more, and returns all of the scope. What others move leaves what
// the scope lets see as it was: that is remembered once, as it stands last.
func (e *earlier) add(scope, seen, whole string) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[string][][2]string{}
	}
	all := slices.DeleteFunc(slices.Clone(e.of[scope]), func(pair [2]string) bool { return pair[0] == seen })
	all = append(all[max(len(all)+1-maxEarlier, 0):], [2]string{seen, whole})
	e.of[scope] = all
	return maps.Collect(func(yield func(string, string) bool) {
		for _, pair := range all {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	})
}
