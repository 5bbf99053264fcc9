package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func from(address, method, path string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = address
	return r
}

// listening waits for the first words to a listener.
type listening struct {
	*httptest.ResponseRecorder
	heard chan int
}

func (l listening) Write(p []byte) (int, error)       { l.heard <- l.Code; return len(p), nil }
func (l listening) WriteString(p string) (int, error) { l.heard <- l.Code; return len(p), nil }
func (l listening) Flush()                            {}

// One address has its share of the listeners, however it spells itself, and the
// others find room.
func TestListenersOfOneAddressAreBounded(t *testing.T) {
	s, err := newServer(Options{Listeners: 100}, []source{unread{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 100)
	listen := func(address string) (code int) {
		l := listening{httptest.NewRecorder(), make(chan int, 10)}
		go func() {
			s.ServeHTTP(l, from(address, "GET", "/v1/catalog/events").WithContext(ctx))
			ended <- struct{}{}
		}()
		select {
		case code = <-l.heard:
		case <-time.After(10 * time.Second):
			t.Fatalf("a listener from %s is not answered within 10 s", address)
		}
		if code == http.StatusTooManyRequests && l.Header().Get("Retry-After") == "" {
			t.Errorf("a listener from %s is refused and not told when to come back", address)
		}
		return code
	}
	all := 0
	for _, spelt := range []string{"192.0.2.1:%d", "[2001:db8::%d]:443"} {
		for n := range 12 {
			want := http.StatusOK
			if n >= 10 {
				want = http.StatusTooManyRequests
			}
			if got := listen(fmt.Sprintf(spelt, n+1)); got != want {
				t.Errorf("listener %d of %s: %d, want %d", n+1, spelt, got, want)
			}
			all++
		}
	}
	for address, want := range map[string]int{"[::ffff:192.0.2.1]:1": 429, "192.0.2.2:1": 200, "[2001:db8:0:1::1]:1": 200, "@": 200} {
		if got := listen(address); got != want {
			t.Errorf("a listener from %s: %d, want %d", address, got, want)
		}
		all++
	}
	cancel()
	for range all {
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("a listener does not end within 10 s")
		}
	}
	if left := len(s.shares.listening.own); left != 0 {
		t.Errorf("%d addresses are remembered after all left, want none", left)
	}
}

// Few listeners are not divided, and the bound can be set.
func TestListenersPerAddress(t *testing.T) {
	for _, c := range []struct{ listeners, perAddress, want int }{{0, 0, 100}, {1000, 0, 100}, {20, 0, 8}, {3, 0, 8}, {1000, 1000, 1000}, {1000, 1, 1}} {
		s, err := newServer(Options{Listeners: c.listeners, ListenersPerAddress: c.perAddress}, []source{unread{}})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.shares.listening.most; got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// A client that takes all the turns to compute it can get leaves one to others,
// and one that waits gives up with its request.
func TestComputingIsShared(t *testing.T) {
	s := servingEntries(t, 1)
	release, busy := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	const greedy = maxComputing + 2
	for range greedy {
		go func() {
			_, _ = s.compute(from("192.0.2.1:1", "GET", "/"), func(context.Context) (*body, error) { busy <- struct{}{}; <-release; return nil, nil })
			ended <- struct{}{}
		}()
	}
	for range maxComputing - 1 {
		<-busy
	}
	other := from("192.0.2.2:1", "GET", "/")
	within, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.compute(other.WithContext(within), func(context.Context) (*body, error) { return nil, nil }); err != nil {
		t.Errorf("another client: %v, want its answer", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.compute(from("192.0.2.1:1", "GET", "/").WithContext(gone), func(context.Context) (*body, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v, want no answer", err)
	}
	close(release)
	for range greedy - (maxComputing - 1) {
		<-busy
	}
	for range greedy {
		<-ended
	}
	if left := len(s.shares.computing.own); left != 0 {
		t.Errorf("%d addresses are remembered, want none", left)
	}
}

// A client that has as many verifications under way as it may is refused, and
// wears out neither the room of others nor the entry's own turn.
func TestVerificationsAreShared(t *testing.T) {
	s := servingEntries(t, 1)
	i := s.state.Load().entries[0]
	var taken []func()
	for range maxVerifying / 4 {
		done, free := s.shares.verifying.take(from("192.0.2.1:1", "POST", "/"))
		if !free {
			t.Fatal("its share is smaller than a quarter")
		}
		taken = append(taken, done)
	}
	may := func(address string) (func(), int) {
		answer := httptest.NewRecorder()
		r := from(address, "POST", "/")
		done, _ := s.mayVerify(&response{ResponseWriter: answer, server: s, request: r}, r, i)
		return done, answer.Code
	}
	if _, code := may("192.0.2.1:1"); code != http.StatusTooManyRequests {
		t.Errorf("one too many: %d, want 429", code)
	}
	done, code := may("192.0.2.2:1")
	if done == nil || code != http.StatusOK {
		t.Fatalf("another client: %d, want it let through", code)
	}
	done()
	if _, code := may("192.0.2.2:1"); code != http.StatusTooManyRequests {
		t.Errorf("the same entry at once again: %d, want 429", code)
	}
	for _, done := range taken {
		done()
	}
	if len(s.verify.slots) != 0 || len(s.shares.verifying.own) != 0 {
		t.Errorf("%d verifications and %d addresses are left, want none", len(s.verify.slots), len(s.shares.verifying.own))
	}
}
