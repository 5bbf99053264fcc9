// Package testwait gives every wait of a test an end of its own, so that a test
// that hangs says what it was waiting for instead of using up the time of the
// whole run:
//
//	code := testwait.Receive(t, "the server's exit code", exited)
//	testwait.Return(t, "the writers", group.Wait)
//	testwait.Until(t, "the entry is listed", func() bool { return listed("autosd") })
//
// All of them end the test, so they are called from its own goroutine.
package testwait

import "time"

// T is what a wait needs of a test: a *testing.T, for example.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Limit ends a wait. It asserts nothing about speed: it is far more than any
// wait takes on a busy machine, and far less than go test allows a package.
const Limit = 60 * time.Second

// pause is the time between two looks of Until.
const pause = 5 * time.Millisecond

// Receive returns what comes from a channel: the zero value once it is closed.
func Receive[V any](t T, what string, from <-chan V) V {
	t.Helper()
	return receive(t, Limit, what, from)
}

// Return calls a function that waits, such as (*sync.WaitGroup).Wait, and
// returns when it does. The function runs in a goroutine of its own.
func Return(t T, what string, call func()) {
	t.Helper()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		call()
	}()
	receive(t, Limit, what, returned)
}

// Until returns once a condition holds. The condition is checked in the
// test's goroutine, at least once, and must end by itself.
func Until(t T, what string, holds func() bool) {
	t.Helper()
	until(t, Limit, what, holds)
}

func receive[V any](t T, limit time.Duration, what string, from <-chan V) V {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case value := <-from:
		return value
	case <-end.C:
		t.Fatalf("waited %s in vain for: %s", limit, what)
		panic("unreachable")
	}
}

func until(t T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(pause)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-end.C:
			t.Fatalf("waited %s in vain for: %s", limit, what)
		}
	}
}
