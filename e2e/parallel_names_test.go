package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/e2e/tools"
)

// rounds is how often the processes of TestOneImageUnderSixNames meet on each
// target.
func rounds() int {
	if *full {
		return 50
	}
	return 5
}

// 6 processes publish one image under 6 names at once: one entry is live, whose
// publisher was told so, and five are told which one that is.
func TestOneImageUnderSixNames(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		for round := range rounds() {
			image := w.push("shared", fmt.Sprintf("v%d", round))
			live, results := w.publishUnderSixNames(round, image)
			published := 0
			for name, result := range results {
				switch {
				case result.Code == 0:
					published++
					if !slices.Contains(live, name) {
						t.Errorf("round %d: %s was published, and is gone", round, name)
					}
				case result.Code != 5:
					t.Errorf("round %d: %s: exit code %d, want 0 or 5\n%s", round, name, result.Code, result.Stderr)
				}
			}
			if len(live) != 1 || published != 1 {
				t.Errorf("round %d: %v are live and %d of 6 were told that they published, want one", round, live, published)
				for name, result := range results {
					t.Logf("%s: %d %s", name, result.Code, result.Stderr)
				}
			}
		}
	})
}

// publishUnderSixNames lets 6 processes publish an image at once, and returns what
// is live of their names then.
func (w *world) publishUnderSixNames(round int, image string) (live []string, results map[string]tools.Result) {
	results = map[string]tools.Result{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 6 {
		name := fmt.Sprintf("r%02d-n%d", round, i)
		group.Go(func() {
			result := w.run("catalog", "publish", image, "--name", name, "--no-attach")
			mu.Lock()
			defer mu.Unlock()
			results[name] = result
		})
	}
	group.Wait()
	for _, name := range names(w.list()) {
		if strings.HasPrefix(name, fmt.Sprintf("r%02d-", round)) {
			live = append(live, name)
		}
	}
	return live, results
}
