package cli

import (
	"net"
	"net/netip"
	"sync"
)

// fairListener bounds the connections from one address: one more is closed at
// once, so that one client cannot take all that a server has.
type fairListener struct {
	net.Listener
	limit int

	mu          sync.Mutex
	connections map[netip.Addr]int
}

func newFairListener(listener net.Listener, limit int) *fairListener {
	return &fairListener{Listener: listener, limit: max(limit, 1), connections: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, _ := netip.ParseAddrPort(connection.RemoteAddr().String()) // what has no address is one client
		address := from.Addr().Unmap()
		if !l.admit(address) {
			connection.Close()
			continue
		}
		return &fairConnection{Conn: connection, release: sync.OnceFunc(func() { l.release(address) })}, nil
	}
}

func (l *fairListener) admit(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connections[address] >= l.limit {
		return false
	}
	l.connections[address]++
	return true
}

func (l *fairListener) release(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connections[address]--; l.connections[address] == 0 {
		delete(l.connections, address)
	}
}

type fairConnection struct {
	net.Conn
	release func()
}

func (c *fairConnection) Close() error {
	defer c.release()
	return c.Conn.Close()
}
