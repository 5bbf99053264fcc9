package cli

import (
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// What a server's heap may grow to before it is collected more often, in bytes:
// some of its own, room for each entry with its prepared answer, and for each
// connection.
const (
	memoryBase          = 26 << 20
	memoryPerEntry      = 8 << 10
	memoryPerConnection = 20 << 10
	memoryEntries       = 10_000 // that there is room for before the catalog is read
)

// memory keeps the soft limit of a server's heap in step with what it holds. A
// fixed limit would have a larger catalog collected all the time.
type memory struct {
	connections atomic.Int64
	entries     func() int
}

func (m *memory) limit() int64 {
	return memoryBase + memoryPerEntry*int64(max(m.entries(), memoryEntries)) + memoryPerConnection*m.connections.Load()
}

// count is the hook of an http.Server for the states of its connections.
func (m *memory) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		m.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		m.connections.Add(-1)
	}
}

// follow sets the limit every second until ctx ends. The environment's own
// limit, where there is one, stays.
func (m *memory) follow(ctx context.Context, getenv func(string) string) {
	if getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(m.limit())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if limit, now := m.limit(), debug.SetMemoryLimit(-1); limit > now || limit < now-now/16 {
				debug.SetMemoryLimit(limit)
			}
		}
	}
}
