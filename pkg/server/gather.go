package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// maxGathered bounds the answers that are copied to leave in one write, in
// bytes with their headers. The copy of a longer one costs what it saves.
const maxGathered = 48 << 10

// A connection answers fairTurn requests without waiting before it lets others
// go first, if there are more than crowd. Each turn costs some speed, and brings
// the slowest answers nearer to the others.
const (
	fairTurn = 8
	crowd    = 256
)

// Gather makes the connections of a listener cheaper for the HTTP server that
// serves them: an answer's header and body leave together where it would write
// twice, and of the deadlines that it sets half a dozen times for a request,
// those that make a difference reach the system; they may strike up to a second
// early. Where many are connected, one whose next request is always there
// already lets the others have their turn. It tells handlers of httpServer so.
// It is for plain HTTP/1.1: connections of TLS stay as they are, because the
// HTTP server looks into them. A server that is not given its listeners works
// all the same, at about two thirds of the speed with answers of more than
// 4 KiB.
func Gather(httpServer *http.Server, listener net.Listener) net.Listener {
	httpServer.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if g, ok := c.(*gatherer); ok {
			return context.WithValue(ctx, gathererKey{}, g)
		}
		return ctx
	}
	return gatheringListener{listener, new(atomic.Int64)}
}

type gathererKey struct{}

type gatheringListener struct {
	net.Listener
	open *atomic.Int64 // connections
}

// Accept implements net.Listener.
func (l gatheringListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if _, secure := c.(*tls.Conn); secure {
		return c, nil
	}
	l.open.Add(1)
	return &gatherer{Conn: c, open: l.open}, nil
}

// gatherer is a connection that holds back the first part of an answer until
// the second one is there. Writes and write deadlines come from one goroutine:
// that of the request. Reads and their deadlines may come from two.
type gatherer struct {
	net.Conn
	open     *atomic.Int64 // connections of the listener
	closed   atomic.Bool
	more     bool     // the next write is the first of two
	held     *[]byte  // nil: nothing is held
	answered int      // requests
	writing  deadline // of writes

	mu      sync.Mutex // guards what is below
	readers int        // reads under way
	reading deadline   // of reads
}

var gatherBuffers = sync.Pool{New: func() any { b := make([]byte, 0, maxGathered); return &b }}

// expect announces an answer with a body of so many bytes. It fits into one
// write by itself unless the body and its header are more than 4 KiB, which is
// what the HTTP server gathers.
func (c *gatherer) expect(body int) { c.more = 3<<10 < body && body < maxGathered-4<<10 }

// Write implements net.Conn.
func (c *gatherer) Write(p []byte) (int, error) {
	switch {
	case c.held != nil && len(*c.held)+len(p) <= maxGathered:
		*c.held = append(*c.held, p...)
		return len(p), c.release()
	case c.held != nil:
		if err := c.release(); err != nil {
			return 0, err
		}
	case c.more && len(p) <= maxGathered:
		c.more = false
		c.held = gatherBuffers.Get().(*[]byte)
		*c.held = append(*c.held, p...)
		return len(p), nil
	}
	return c.write(p)
}

func (c *gatherer) write(p []byte) (int, error) {
	if c.writing.due() {
		if err := c.Conn.SetWriteDeadline(c.writing.wanted); err != nil {
			return 0, err
		}
		c.writing.set = c.writing.wanted
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline implements net.Conn. The HTTP server lifts it after each
// answer: what is held then was all of it.
func (c *gatherer) SetWriteDeadline(t time.Time) error {
	err := c.release()
	c.writing.wanted = t
	if t.IsZero() {
		c.answered++
		if c.answered%fairTurn == 0 && c.open.Load() > crowd {
			runtime.Gosched()
		}
	}
	return err
}

// Read implements net.Conn.
func (c *gatherer) Read(p []byte) (int, error) {
	c.mu.Lock()
	if w := c.reading.wanted; !w.IsZero() && !w.After(longAgo) {
		c.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	err := c.arm()
	c.readers++
	c.mu.Unlock()
	n := 0
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	c.mu.Lock()
	c.readers--
	c.mu.Unlock()
	return n, err
}

// longAgo is the latest deadline that is taken for one to end reads with.
var longAgo = time.Unix(1<<30, 0)

// SetReadDeadline implements net.Conn.
func (c *gatherer) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading.wanted = t
	if c.readers > 0 {
		return c.arm()
	}
	return nil
}

// arm tells the system of the read deadline. The caller holds the lock.
func (c *gatherer) arm() error {
	if !c.reading.due() {
		return nil
	}
	if err := c.Conn.SetReadDeadline(c.reading.wanted); err != nil {
		return err
	}
	c.reading.set = c.reading.wanted
	return nil
}

// SetDeadline implements net.Conn.
func (c *gatherer) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *gatherer) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// release writes what is held.
func (c *gatherer) release() error {
	c.more = false
	if c.held == nil {
		return nil
	}
	_, err := c.write(*c.held)
	*c.held = (*c.held)[:0]
	gatherBuffers.Put(c.held)
	c.held = nil
	return err
}
