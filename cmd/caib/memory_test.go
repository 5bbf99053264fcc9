package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The limit leaves room for what is in use, and is never less than it was set to.
func TestRaiseLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	const size = 16 << 20
	held := make([]byte, size)
	runtime.GC()
	raiseLimit(1)
	if got := debug.SetMemoryLimit(-1); got < size*5/4 || got >= before {
		t.Errorf("with %d bytes in use the limit is %d: want some more than that", size, got)
	}
	runtime.KeepAlive(held)
	raiseLimit(before)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the limit is %d: want the least of %d", got, before)
	}
}

// A limit that somebody else sets is left as it is.
func TestRaisingLeavesOtherLimits(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	const least, other = int64(1 << 40), int64(1 << 41)
	debug.SetMemoryLimit(least)
	raise := raising(least)
	for _, want := range []int64{least, other, other} {
		debug.SetMemoryLimit(want)
		raise()
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("the limit is %d, want %d", got, want)
		}
	}
}

// It is called after each collection, not only after the first.
func TestAfterCollections(t *testing.T) {
	called := make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	afterCollections(func() {
		select {
		case called <- struct{}{}:
		case <-over:
		}
	})
	for i := range 3 {
		runtime.GC()
		select {
		case <-called:
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing was called within 10 seconds of collection %d", i+1)
		}
	}
}
