package keylock

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Locks
		take := func(keys ...string) func() {
			t.Helper()
			done, err := all.Lock(t.Context(), keys...)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		first := take("name a", "image x")
		take("name b", "image y")() // nobody has these
		var went atomic.Int64
		for _, keys := range [][]string{{"name a"}, {"name c", "image x"}} {
			go func() {
				done, err := all.Lock(t.Context(), keys...)
				if err != nil {
					t.Error(err)
				}
				went.Add(1)
				done()
			}()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := all.Lock(ctx, "image x"); !errors.Is(err, context.Canceled) {
			t.Errorf("one that gave up has the lock: %v", err)
		}
		synctest.Wait()
		if n := went.Load(); n != 0 {
			t.Errorf("%d went ahead", n)
		}
		first()
		synctest.Wait()
		if n := went.Load(); n != 2 || len(all.held) != 0 {
			t.Errorf("%d had the locks, want both; %d keys are still held", n, len(all.held))
		}
	})
}
