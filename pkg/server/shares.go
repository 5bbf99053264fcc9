package server

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
)

// shares bound what clients of one address have, at once, of what all clients
// share: one of them cannot take all of it. Clients behind a proxy have its
// address, and one share together.
type shares struct {
	listening *share // of the listeners to events
	verifying *share // of the verifications that requests ask for
	computing *share // of the answers that are not prepared
}

func newShares(listeners int) shares {
	return shares{newShare(listeners), newShare(maxVerifying / 4), newShare(maxComputing - 1)}
}

// share bounds one of them. It is safe for concurrent use.
type share struct {
	most int // for one address

	mu  sync.Mutex
	own map[netip.Prefix]*slots // of those addresses that have or want some
}

type slots struct {
	taken chan struct{}
	users int // that have one or wait for one; guarded by the share
}

func newShare(most int) *share { return &share{most: most, own: map[netip.Prefix]*slots{}} }

// take takes one for the client of a request, and returns what gives it back. It
// reports false where its address has as many as it may.
func (s *share) take(r *http.Request) (done func(), free bool) {
	own, leave := s.of(r)
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; leave() }, true
	default:
		leave()
		return nil, false
	}
}

// wait is take that waits until there is one, or ctx ends.
func (s *share) wait(ctx context.Context, r *http.Request) (done func(), err error) {
	own, leave := s.of(r)
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// of returns the slots of a client's address, which are kept until leave.
func (s *share) of(r *http.Request) (own *slots, leave func()) {
	address := clientAddress(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if own = s.own[address]; own == nil {
		own = &slots{taken: make(chan struct{}, s.most)}
		s.own[address] = own
	}
	own.users++
	return own, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(s.own, address)
		}
	}
}

// clientAddress is the address that a request came from; of IPv6, the network of
// 64 bits, in which whoever has one address has them all. What has no address,
// such as a socket file, is one client.
func clientAddress(r *http.Request) netip.Prefix {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := from.Addr().Unmap().WithZone(""), 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // fails for more bits than there are
	return prefix
}
