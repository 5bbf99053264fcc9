package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// 8 processes publish 25 entries each, at once, into one catalog: nothing is
// lost, nothing is there twice, and every attachment that was reported is
// there too.
func TestEightProcessesPublishAtOnce(t *testing.T) {
	const processes, each = 8, 25
	onEvery(t, func(t *testing.T, w *world) {
		var want []string
		images := make([][]string, processes)
		for p := range processes {
			images[p] = w.pushMany(fmt.Sprintf("image%d", p), each)
			for i := range each {
				want = append(want, fmt.Sprintf("p%d-e%02d", p, i))
			}
		}
		var group sync.WaitGroup
		for p := range processes {
			group.Go(func() {
				for i, image := range images[p] {
					result := w.run("catalog", "publish", image, "--name", fmt.Sprintf("p%d-e%02d", p, i))
					if result.Code != 0 {
						t.Errorf("exit code %d\n%s", result.Code, result.Stderr)
						return
					}
				}
			})
		}
		group.Wait()
		if diff := cmp.Diff(want, names(w.list())); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
	})
}

// Two processes publish the same name at once: one entry is live, the same one
// for every reader, and at most one of the two is told that it published it.
func TestTwoProcessesPublishOneName(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		images := []string{w.push("a", "1"), w.push("b", "1")}
		var group sync.WaitGroup
		codes := make([]int, len(images))
		for i, image := range images {
			group.Go(func() { codes[i] = w.run("catalog", "publish", image, "--name", "same").Code })
		}
		group.Wait()
		// One after the other is no conflict: the first has settled before the second begins.
		if slices.Sort(codes); codes[0] != 0 || codes[1] != 0 && codes[1] != 5 {
			t.Errorf("exit codes %v, want 0, and 0 or 5", codes)
		}
		first := w.list()
		if len(first) != 1 {
			t.Fatalf("live: %v, want one entry", names(first))
		}
		for range 3 {
			if diff := cmp.Diff(first, w.list()); diff != "" {
				t.Errorf("readers disagree:\n%s", diff)
			}
		}
	})
}

// 24 processes attach to one image at once, on registries without the
// Referrers API by way of one index that all of them overwrite. The catalog has
// every entry whatever becomes of the attachments. A writer that is held up between
// reading and writing the index overwrites those of others: no client can rule
// that out, so a few may be missing.
func TestManyAttachToOneImage(t *testing.T) {
	const writers, atLeast = 24, 20
	onEach(t, func(t *testing.T, w *world) {
		image := w.push("shared", "1")
		digest := w.resolve(image)
		for i := range writers {
			w.copyTag(image, fmt.Sprintf("t%02d", i))
		}
		attached := make([]bool, writers)
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				result := w.ok("catalog", "publish", fmt.Sprintf("%s:t%02d", w.on.image("shared"), i), "--name", fmt.Sprintf("e%02d", i), "-o", "json")
				attached[i] = outcome(t, result.Stdout) == catalog.Attached
			})
		}
		group.Wait()
		if live := w.list(); len(live) != writers {
			t.Errorf("%d live entries, want %d", len(live), writers)
		}
		claimed := 0
		for _, yes := range attached {
			if yes {
				claimed++
			}
		}
		listed := w.attachments(image, digest)
		t.Logf("%d of %d attachments reported, %d listed", claimed, writers, listed)
		if listed < atLeast || w.on.referrers && listed != writers {
			t.Errorf("%d attachments are listed, of %d that were reported", listed, claimed)
		}
	})
}
