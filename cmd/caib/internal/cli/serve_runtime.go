package cli

import (
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// What a server's heap may grow to before it is collected more often, in bytes:
// some of its own, room for each entry with its prepared answer, and for each
// connection.
const (
	memoryBase          = 32 << 20
	memoryPerEntry      = 8 << 10
	memoryPerConnection = 48 << 10
	memoryEntries       = 10_000 // that there is always room for
	memoryStep          = 256    // connections that the limit grows by
	// quarters are the processors that the garbage collector's worker needs to
	// be one of four. With fewer it takes turns with requests on each, and
	// doubles their 99th percentile.
	quarters = 4
)

// memory keeps the soft limit of a server's heap in step with what it holds: a
// fixed one would have a larger catalog collected all the time.
type memory struct {
	entries     func() int
	connections atomic.Int64
	limit       atomic.Int64
}

// tune sets the runtime up for a server, unless the environment does.
func tune(getenv func(string) string, entries func() int) *memory {
	if getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) == runtime.NumCPU() {
		runtime.GOMAXPROCS(max(quarters, runtime.NumCPU()))
	}
	m := &memory{entries: entries}
	if getenv("GOMEMLIMIT") != "" {
		m.limit.Store(-1)
	}
	m.adjust()
	return m
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
