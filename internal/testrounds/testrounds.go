// Package testrounds counts rounds: how many messages of a command, to a registry
// and back, wait for one another. On a real network that is what a command takes.
//
//	synctest.Test(t, func(t *testing.T) {
//		network := testrounds.New(t, handler)
//		client := &http.Client{Transport: network.Transport(testrounds.HTTP1)}
//		rounds := network.Count(func() { get(client) }) // 2: a connection, and the request
//	})
//
// The network is in memory, and the clock that of a bubble of testing/synctest:
// every message takes half a Round, computing takes none, and so the time that a
// step takes is the number of its rounds, however busy the machine is.
package testrounds

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Round is how long a message and its answer are under way. It is long beside the
// waits that a command begins by itself, which so count as parts of a round.
const Round = 100 * time.Millisecond

// T is what a Network needs of a test: a *testing.T, for example.
type T interface {
	Cleanup(func())
}

// Protocol is how a transport talks to the registry.
type Protocol int

// The protocols. HTTP2 begins without asking, so that a connection is one round as with HTTP1.
const (
	HTTP1 Protocol = iota
	HTTP2
)

// Network is one server, and the wire to it.
type Network struct {
	server     *http.Server
	accept     chan net.Conn
	closed     chan struct{}
	transports []*http.Transport

	mu       sync.Mutex
	slow     bool // Count is under way: messages take time
	begun    time.Time
	messages []string
}

// New serves a handler until the test ends. It is called in a bubble.
func New(t T, handler http.Handler) *Network {
	n := &Network{accept: make(chan net.Conn), closed: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	n.server = &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		n.note(request.Method + " " + request.URL.RequestURI())
		handler.ServeHTTP(w, request)
	})}
	go func() { _ = n.server.Serve(n) }()
	t.Cleanup(func() {
		for _, transport := range n.transports {
			transport.CloseIdleConnections()
		}
		_ = n.server.Close()
	})
	return n
}

// Transport returns a transport without connections, which reaches the server by
// whatever name.
func (n *Network) Transport(protocol Protocol) *http.Transport {
	return n.TransportAfar(protocol, Round)
}

// TransportAfar is Transport from where a round takes another time.
func (n *Network) TransportAfar(protocol Protocol, round time.Duration) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == HTTP1)
	protocols.SetUnencryptedHTTP2(protocol == HTTP2)
	transport := &http.Transport{DialContext: n.dialer(round), Protocols: protocols, MaxIdleConnsPerHost: 64}
	n.transports = append(n.transports, transport)
	return transport
}

// Count returns how many rounds a step takes.
func (n *Network) Count(step func()) float64 {
	n.mu.Lock()
	n.slow, n.begun, n.messages = true, time.Now(), nil
	n.mu.Unlock()
	step()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow = false
	return float64(time.Since(n.begun)) / float64(Round)
}

// Trace is what arrived during the last Count, and after how many rounds.
func (n *Network) Trace() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.messages, "\n")
}

// Requests returns how many requests arrived during the last Count.
func (n *Network) Requests() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(n.messages), func(message string) bool { return strings.HasSuffix(message, connected) }))
}

const connected = " connected"

func (n *Network) note(message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slow {
		n.messages = append(n.messages, fmt.Sprintf("%5.1f %s", float64(time.Since(n.begun))/float64(Round), message))
	}
}

// dialer makes connections whose messages take half a round.
func (n *Network) dialer(round time.Duration) func(context.Context, string, string) (net.Conn, error) {
	delay := func() time.Duration {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.slow {
			return round / 2
		}
		return 0
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-time.After(2 * delay()):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		client, server := pipe(delay)
		select {
		case n.accept <- server:
			n.note("        " + connected)
			return client, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-n.closed:
			return nil, net.ErrClosed
		}
	}
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case connection := <-n.accept:
		return connection, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (n *Network) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "rounds" }
func (address) String() string  { return "rounds" }
