package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A process that publishes is killed at a random moment, 200 times over two
// targets. The catalog stays readable, every entry that it shows is whole, and
// a retry of what was killed succeeds.
func TestKilledWhilePublishing(t *testing.T) {
	t.Parallel()
	const kills = 100
	all := targets()
	for _, name := range []string{"layout", registries.All()[0].Name} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, all[name](t))
			images := w.pushMany("image", kills)
			took := w.measure(images[0])
			landed := 0
			for i, image := range images {
				name := fmt.Sprintf("e%03d", i)
				if w.killed(rand.N(took*5/4), nil, "catalog", "publish", image, "--name", name) {
					landed++
				}
				if i%10 == 9 {
					w.whole()
				}
				w.ok("catalog", "publish", image, "--name", name)
			}
			if got := w.whole(); len(got) != kills+1 {
				t.Errorf("%d entries, want %d", len(got), kills+1)
			}
			t.Logf("a publication takes %s; %d of %d were done before they were killed", took, landed, kills)
		})
	}
}

// measure returns how long one publication takes.
func (w *world) measure(image string) time.Duration {
	w.t.Helper()
	w.copyTag(image, "measure")
	start := time.Now()
	w.ok("catalog", "publish", image[:len(image)-len("v000")]+"measure", "--name", "measure")
	return time.Since(start)
}

// killed runs caib and kills it after a while; it reports whether it had ended before.
func (w *world) killed(after time.Duration, stdout io.Writer, args ...string) bool {
	w.t.Helper()
	command := exec.Command(w.caib, args...)
	command.Env, command.Stdout = tools.Env(w.t, w.env), stdout
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	return command.Wait() == nil
}

// whole lists the catalog and checks every entry against what was published.
func (w *world) whole() []entry.Item {
	w.t.Helper()
	items := w.list()
	for _, item := range items {
		text, _ := json.Marshal(item)
		if item.Digest == "" || item.RegistryURL == "" || item.SizeBytes == 0 || item.LayerCount != 1 || item.PublishedAt.IsZero() {
			w.t.Errorf("an entry that is not whole: %s", text)
		}
	}
	names := names(items)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		w.t.Errorf("an entry is there twice: %v", names)
	}
	return items
}
