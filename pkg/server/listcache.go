package server

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxLists     = 512      // prepared lists of one state
	maxListBytes = 24 << 20 // of their plain forms
	maxHot       = 64       // lists that are prepared again when the state changes
	enoughHits   = 1000     // nobody counts further
)

// listCache holds the answers to the list queries that were asked of one state, by
// the query as the URL has it.
type listCache struct {
	state *state
	made  sync.Map // of string: *prepared

	mu    sync.Mutex // guards what is below
	count int
	bytes int
}

type prepared struct {
	*body
	hits atomic.Int64 // no more than enoughHits
}

func newListCache(s *state) *listCache { return &listCache{state: s} }

// get returns the answer to a query that was asked before, or nil.
func (l *listCache) get(raw string) *body {
	found, ok := l.made.Load(raw)
	if !ok {
		return nil
	}
	p := found.(*prepared)
	if p.hits.Load() < enoughHits { // else processors would contend for the count
		p.hits.Add(1)
	}
	return p.body
}

// put stores an answer. Where there is no room, those make some that were not
// asked for again since room was needed last.
func (l *listCache) put(raw string, a *body) {
	size := len(a.plain.body)
	l.mu.Lock()
	defer l.mu.Unlock()
	full := func() bool { return l.count >= maxLists || l.bytes+size > maxListBytes }
	if full() {
		l.sweep()
	}
	if full() {
		return
	}
	if _, known := l.made.LoadOrStore(raw, &prepared{body: a}); !known {
		l.count++
		l.bytes += size
	}
}

// sweep drops what was not asked for since the last sweep. The caller holds the
// lock.
func (l *listCache) sweep() {
	for raw, p := range l.made.Range {
		if p := p.(*prepared); p.hits.Swap(0) == 0 {
			l.made.Delete(raw)
			l.count--
			l.bytes -= len(p.plain.body)
		}
	}
}

// hot returns the queries that were asked most, those that were never asked
// again excepted.
func (l *listCache) hot() []string {
	type counted struct {
		raw  string
		hits int64
	}
	var all []counted
	for raw, p := range l.made.Range {
		if hits := p.(*prepared).hits.Load(); hits > 0 {
			all = append(all, counted{raw.(string), hits})
		}
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Compare(b.hits, a.hits) })
	var raws []string
	for _, a := range all[:min(len(all), maxHot)] {
		raws = append(raws, a.raw)
	}
	return raws
}

// prepare answers queries before they are asked.
func (l *listCache) prepare(ctx context.Context, raws []string) {
	for _, raw := range raws {
		q, err := parseListQuery(raw)
		if err != nil || !q.isLasting() || l.get(raw) != nil {
			continue
		}
		a, known, err := l.state.list(ctx, q)
		if !known {
			return // nor would others be: whoever asks has the registry asked again
		}
		if err == nil {
			l.put(raw, a)
		}
	}
}
