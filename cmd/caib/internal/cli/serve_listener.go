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
	most int

	mu  sync.Mutex
	own map[netip.Addr]int
}

func newFairListener(listener net.Listener, most int) *fairListener {
	return &fairListener{Listener: listener, most: max(most, 1), own: map[netip.Addr]int{}}
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
		if !l.take(address) {
			connection.Close()
			continue
		}
		return &fairConnection{Conn: connection, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
	}
}

func (l *fairListener) take(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own[address] >= l.most {
		return false
	}
	l.own[address]++
	return true
}

func (l *fairListener) leave(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own[address]--; l.own[address] == 0 {
		delete(l.own, address)
	}
}

type fairConnection struct {
	net.Conn
	leave func()
}

func (c *fairConnection) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
