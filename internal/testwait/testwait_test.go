package testwait

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that only notes how it ends.
type recorder struct{ message string }

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ending returns with what a test that calls wait ends, and after how long.
func ending(wait func(T)) (message string, took time.Duration) {
	r := &recorder{}
	begun := time.Now()
	var test sync.WaitGroup
	test.Go(func() { wait(r) })
	test.Wait()
	return r.message, time.Since(begun)
}

func TestWaitsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values, closed := make(chan int, 1), make(chan int)
		values <- 7
		close(closed)
		if got := Receive(t, "a value", values); got != 7 {
			t.Errorf("received %d, want 7", got)
		}
		if got := Receive(t, "the end", closed); got != 0 {
			t.Errorf("received %d from a closed channel, want 0", got)
		}
		done := false
		Return(t, "the call", func() { time.Sleep(Limit / 2); done = true })
		if !done {
			t.Error("Return returned before the call did")
		}
		looks := 0
		Until(t, "the third look", func() bool { looks++; return looks == 3 })
		if looks != 3 {
			t.Errorf("%d looks, want 3", looks)
		}
	})
}

func TestWaitsThatDoNotEnd(t *testing.T) {
	for name, wait := range map[string]func(t T, never <-chan int){
		"Receive": func(t T, never <-chan int) { Receive(t, "a signal", never) },
		"Return":  func(t T, never <-chan int) { Return(t, "a signal", func() { <-never }) },
		"Until":   func(t T, _ <-chan int) { Until(t, "a signal", func() bool { return false }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				never := make(chan int)
				defer close(never)
				message, took := ending(func(t T) { wait(t, never) })
				if want := "waited 1m0s in vain for: a signal"; message != want || took != Limit {
					t.Errorf("ends with %q after %s, want %q after %s", message, took, want, Limit)
				}
			})
		})
	}
}
