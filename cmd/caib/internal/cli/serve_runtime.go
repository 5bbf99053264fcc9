package cli

import (
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// What a server may have in memory before garbage is collected more often, in
// bytes: some of its own, room for each entry with its prepared answer, and for
// each connection.
const (
	memoryBase          = 56 << 20
	memoryPerEntry      = 6 << 10
	memoryPerConnection = 32 << 10
	memoryEntries       = 10_000 // that there is always room for
	memoryStep          = 256    // connections that the limit grows by
)

// memory keeps the soft limit of a server's memory in step with what it holds:
// with a fixed one, a larger catalog would be collected all the time.
type memory struct {
	entries     func() int
	connections atomic.Int64
	limit       atomic.Int64
}

// tune sets the runtime up for a server, unless the environment does.
func tune(getenv func(string) string, entries func() int) *memory {
	m := &memory{entries: entries}
	if getenv("GOMEMLIMIT") != "" {
		m.limit.Store(-1)
	}
	m.adjust()
	return m
}

// settle gives back what it took to make the index, once it is there.
func (m *memory) settle(ctx context.Context, caughtUp <-chan struct{}) {
	select {
	case <-caughtUp:
		m.adjust()
		if limit := m.limit.Load(); limit > 0 {
			debug.SetMemoryLimit(limit) // whatever was set while the index was made
		}
		debug.FreeOSMemory()
	case <-ctx.Done():
	}
}

// count is the hook of an http.Server for the states of its connections.
func (m *memory) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		m.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		m.connections.Add(-1)
	default:
		return
	}
	m.adjust()
}

func (m *memory) adjust() {
	was := m.limit.Load()
	steps := (m.connections.Load() + memoryStep - 1) / memoryStep
	limit := memoryBase + memoryPerEntry*int64(max(m.entries(), memoryEntries)) + memoryPerConnection*memoryStep*steps
	if was >= 0 && limit != was && m.limit.CompareAndSwap(was, limit) {
		debug.SetMemoryLimit(limit)
	}
}
