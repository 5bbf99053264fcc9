package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
)

// 40 processes read and write one cache and one state at once, the first of them
// with nothing in it, and then with all of it: each gives a right answer.
func TestFortyProcessesOnOneCache(t *testing.T) {
	const processes, entries = 40, 36
	onEvery(t, func(t *testing.T, w *world) {
		for i, image := range w.pushMany("image", entries) {
			w.ok("catalog", "publish", image, "--name", fmt.Sprintf("b-%02d", i), "--no-attach")
		}
		w.env = append(w.env, "HOME="+t.TempDir())
		for _, state := range []string{"cold", "warm"} {
			var group sync.WaitGroup
			for i := range processes {
				commands := [][]string{
					{"catalog", "list", "-o", "name", "--sort", "name"},
					{"catalog", "verify", "b-01", "b-02", "b-03", "b-04"},
					{"catalog", "get", "b-05"},
					{"catalog", "history", "b-06"},
				}
				group.Go(func() {
					if result := w.run(commands[i%len(commands)]...); result.Code != 0 || result.Stdout == "" {
						t.Errorf("%s: %v: exit code %d, want 0\n%s%s", state, commands[i%len(commands)], result.Code, result.Stdout, result.Stderr)
					}
				})
			}
			testwait.Return(t, "the processes", group.Wait)
		}
	})
}
