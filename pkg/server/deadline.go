package server

import (
	"os"
	"time"
)

// deadlineSlack is how much too early a deadline may strike.
const deadlineSlack = time.Second

// deadline is one that is asked for, and the one that the system has.
type deadline struct{ wanted, set time.Time }

// due tells whether the system must hear of the one that is wanted.
func (d *deadline) due() bool {
	if d.wanted.IsZero() || d.set.IsZero() {
		return d.wanted.IsZero() != d.set.IsZero()
	}
	early := d.wanted.Sub(d.set)
	return early < 0 || early > deadlineSlack
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
