package catalog

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		take := func(keys ...string) func() {
			t.Helper()
			done, err := all.take(t.Context(), keys...)
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
				done, err := all.take(t.Context(), keys...)
				if err != nil {
					t.Error(err)
				}
				went.Add(1)
				done()
			}()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := all.take(ctx, "image x"); !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up has the turn: %v", err)
		}
		synctest.Wait()
		if n := went.Load(); n != 0 {
			t.Errorf("%d went ahead", n)
		}
		first()
		synctest.Wait()
		if n := went.Load(); n != 2 || len(all.taken) != 0 {
			t.Errorf("%d had their turns, want both; %d keys are still taken", n, len(all.taken))
		}
	})
}
