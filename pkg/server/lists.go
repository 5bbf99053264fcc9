package server

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxLists     = 512      // prepared lists of one state
	maxListBytes = 24 << 20 // of their plain forms
	maxHot       = 64       // lists that are prepared again when the state changes
)

// lists are the answers to the list queries that were asked of one state, by
// the query as it stands in the URL.
type lists struct {
	state *state
	mu    sync.RWMutex
	made  map[string]*prepared
	bytes int
}

type prepared struct {
	*answer
	hits atomic.Int64
}

func newLists(s *state) *lists { return &lists{state: s, made: map[string]*prepared{}} }

// find returns the answer to a query that was asked before, or nil.
func (l *lists) find(raw string) *answer {
	l.mu.RLock()
	p := l.made[raw]
	l.mu.RUnlock()
	if p == nil {
		return nil
	}
	p.hits.Add(1)
	return p.answer
}

// keep keeps an answer, as long as there is room.
func (l *lists) keep(raw string, a *answer) {
	size := len(a.plain.body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made[raw] != nil || len(l.made) >= maxLists || l.bytes+size > maxListBytes {
		return
	}
	l.made[raw] = &prepared{answer: a}
	l.bytes += size
}

// hot returns the queries that were asked most, those that were never asked
// again excepted.
func (l *lists) hot() []string {
	type asked struct {
		raw  string
		hits int64
	}
	var all []asked
	l.mu.RLock()
	for raw, p := range l.made {
		if hits := p.hits.Load(); hits > 0 {
			all = append(all, asked{raw, hits})
		}
	}
	l.mu.RUnlock()
	slices.SortFunc(all, func(a, b asked) int { return cmp.Compare(b.hits, a.hits) })
	var raws []string
	for _, a := range all[:min(len(all), maxHot)] {
		raws = append(raws, a.raw)
	}
	return raws
}

// prepare answers queries before they are asked.
func (l *lists) prepare(raws []string) {
	for _, raw := range raws {
		q, err := parseListQuery(raw)
		if err != nil || !q.asOf.IsZero() || l.find(raw) != nil {
			continue
		}
		if a, err := l.state.list(q); err == nil {
			l.keep(raw, a)
		}
	}
}
