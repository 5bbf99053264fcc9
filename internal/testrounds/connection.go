package testrounds

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// connection is one end of a wire.
type connection struct {
	in, out *direction
	delay   func() time.Duration
}

// pipe returns the two ends of a new wire, whose messages take delay.
func pipe(delay func() time.Duration) (client, server net.Conn) {
	there, back := newDirection(), newDirection()
	return &connection{back, there, delay}, &connection{there, back, delay}
}

// direction is what is under way from one end to the other.
type direction struct {
	changed  *sync.Cond
	messages []message // in the order of their arrival
	ended    time.Time // when the reader learns that no more comes; zero is not known
	closed   bool      // the reader's end is
	deadline time.Time // of reading; zero is none
}

type message struct {
	arrives time.Time
	content []byte
}

func newDirection() *direction { return &direction{changed: sync.NewCond(new(sync.Mutex))} }

// wake has readers look again, now and at a time.
func (d *direction) wake(at time.Time) {
	d.changed.Broadcast()
	if wait := time.Until(at); wait > 0 {
		time.AfterFunc(wait, func() {
			d.changed.L.Lock()
			defer d.changed.L.Unlock()
			d.changed.Broadcast()
		})
	}
}

// Read implements net.Conn.
func (c *connection) Read(into []byte) (int, error) {
	d := c.in
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	for {
		now := time.Now()
		switch {
		case d.closed:
			return 0, net.ErrClosed
		case !d.deadline.IsZero() && !now.Before(d.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(d.messages) > 0 && !now.Before(d.messages[0].arrives):
			first := &d.messages[0]
			count := copy(into, first.content)
			if first.content = first.content[count:]; len(first.content) == 0 {
				d.messages = d.messages[1:]
			}
			return count, nil
		case len(d.messages) == 0 && !d.ended.IsZero() && !now.Before(d.ended):
			return 0, io.EOF
		}
		d.changed.Wait()
	}
}

// Write implements net.Conn. It never waits: a wire takes any number of messages.
func (c *connection) Write(content []byte) (int, error) {
	d := c.out
	arrives := time.Now().Add(c.delay())
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	if d.closed || !d.ended.IsZero() {
		return 0, net.ErrClosed
	}
	d.messages = append(d.messages, message{arrives, append([]byte(nil), content...)})
	d.wake(arrives)
	return len(content), nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.in.changed.L.Lock()
	c.in.closed = true
	c.in.wake(time.Time{})
	c.in.changed.L.Unlock()

	c.out.changed.L.Lock()
	defer c.out.changed.L.Unlock()
	if c.out.ended.IsZero() {
		c.out.ended = time.Now().Add(c.delay())
		c.out.wake(c.out.ended)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *connection) SetReadDeadline(at time.Time) error {
	c.in.changed.L.Lock()
	defer c.in.changed.L.Unlock()
	c.in.deadline = at
	c.in.wake(at)
	return nil
}

// SetWriteDeadline implements net.Conn: writing never waits.
func (c *connection) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *connection) SetDeadline(at time.Time) error { return c.SetReadDeadline(at) }

// LocalAddr implements net.Conn.
func (c *connection) LocalAddr() net.Addr { return address{} }

// RemoteAddr implements net.Conn.
func (c *connection) RemoteAddr() net.Addr { return address{} }
