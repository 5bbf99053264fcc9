package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/e2e/faultproxy"
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
			live, results := w.publishUnderSixNames(round, image, func() *world { return w })
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

// Where the registry's lists lag, publishers do not see each other, and all are told
// that they published. Whoever verifies the catalog is told what is left of it.
func TestNamesThatAListHid(t *testing.T) {
	t.Parallel()
	var shown atomic.Bool
	w, _ := behind(t, "distribution-3.1", faultproxy.Faults{HideTags: func(tag string) bool { return strings.HasPrefix(tag, "r00-") && !shown.Load() }})
	image := w.push("shared", "1")
	_, results := w.publishUnderSixNames(0, image, w.elsewhere) // on one machine, one's state tells the others
	for name, result := range results {
		if result.Code != 0 {
			t.Errorf("%s: exit code %d, want 0, for nobody sees the others\n%s", name, result.Code, result.Stderr)
		}
	}
	shown.Store(true)
	result := w.exits(5, "catalog", "verify", "--all")
	for name := range results {
		if !strings.Contains(result.Stderr, `"`+name+`"`) {
			t.Errorf("verify --all does not name %s:\n%s", name, result.Stderr)
		}
	}
	if count := strings.Count(result.Stderr, "hint: end one of them: `caib catalog remove r00-"); count != 5 {
		t.Errorf("%d hints, want 5:\n%s", count, result.Stderr)
	}
	w.ok("catalog", "publish", image, "--name", "r00-n3", "--move")
	w.ok("catalog", "verify", "--all")
	if diff := diffNames([]string{"r00-n3"}, w.list()); diff != "" {
		t.Errorf("after the mending command (-want +got):\n%s", diff)
	}
}

// publishUnderSixNames lets 6 processes publish an image at once, each where publisher
// says, and returns what is live of their names then.
func (w *world) publishUnderSixNames(round int, image string, publisher func() *world) (live []string, results map[string]tools.Result) {
	results = map[string]tools.Result{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 6 {
		name := fmt.Sprintf("r%02d-n%d", round, i)
		from := publisher()
		group.Go(func() {
			result := from.run("catalog", "publish", image, "--name", name, "--no-attach")
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
