package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// 6 processes edit one entry at once, half of them on machines of their own: what one
// was told to have added is there, after this round and after all others.
func TestSixProcessesEditOneEntry(t *testing.T) {
	const processes = 6
	rounds := 1
	if *full {
		rounds = 10 // an entry has 64 tags at most
	}
	onEach(t, func(t *testing.T, w *world) {
		w.ok("catalog", "publish", w.push("shared", "1"), "--name", "same", "--tags", "nightly", "--description", "begun")
		want, conflicts := []string{"nightly"}, 0
		for round := range rounds {
			codes := make([]int, processes)
			var group sync.WaitGroup
			for p := range processes {
				editor := w
				if p%2 > 0 {
					editor = w.elsewhere()
				}
				group.Go(func() {
					result := editor.run("catalog", "edit", "same", "--tags", "+"+added(round, p))
					if codes[p] = result.Code; result.Code != 0 && result.Code != 5 {
						t.Errorf("round %d: editor %d: exit code %d, want 0 or 5\n%s", round, p, result.Code, result.Stderr)
					}
				})
			}
			group.Wait()
			for p, code := range codes {
				switch code {
				case 0:
					want = append(want, added(round, p))
				case 5:
					conflicts++
				}
			}
			item := w.elsewhere().get("same")
			for _, tag := range want {
				if !slices.Contains(item.Tags, tag) {
					t.Errorf("round %d: %s was added, and is gone: %v (exit codes %v)", round, tag, item.Tags, codes)
				}
			}
			if item.Description != "begun" || !slices.Contains(codes, 0) {
				t.Errorf("round %d: description %q, exit codes %v; want what was published, and an edit that is done", round, item.Description, codes)
			}
		}
		t.Logf("%d edits done, %d conflicts", len(want)-1, conflicts)
	})
}

// added is the tag that an editor adds in a round.
func added(round, editor int) string { return fmt.Sprintf("r%d-p%d", round, editor) }
