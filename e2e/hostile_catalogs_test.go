package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

var full = flag.Bool("full", false, "run long campaigns in full, not at a tenth")

// tenth is a tenth of a number, or all of it in a full campaign.
func tenth(n int) int {
	if *full {
		return n
	}
	return n / 10
}

// maxMemory bounds what a command may hold, whatever a registry sends.
const maxMemory = 256 << 20

// No snapshot, flood or large entry makes a command hold more memory than that,
// or miss what the catalog has.
func TestHostileCatalogsAreBounded(t *testing.T) {
	const entries = 44
	for shape, count := range map[string]int{
		"blanks":                    0,
		"empty-lines":               0,
		"manifests-that-are-none":   tenth(300_000),
		"revisions-that-never-were": tenth(100_000),
		"flood":                     tenth(3000),
		"large-entries":             tenth(700),
		"large-records":             0,
		"large-signatures":          tenth(600),
	} {
		t.Run(shape, func(t *testing.T) {
			server := registries.GGCR(t, true)
			w := newWorld(t, at(server.Host, shape, true))
			want := fillCatalog(t, w.on.catalog, "-entries", fmt.Sprint(entries), "-shape", shape, "-count", fmt.Sprint(count))
			if shape == "large-signatures" { // which only readers with a policy read
				w.env = append(w.env, "CAIB_POLICY="+warningPolicy(t))
			}
			for _, state := range []string{"cold", "warm"} {
				listed, took, held := w.measured("catalog", "list", "-o", "name", "--timeout", "100s")
				if got := strings.Count(listed, "\n"); got != want {
					t.Errorf("%s: %d entries, want %d", state, got, want)
				}
				if held > maxMemory {
					t.Errorf("%s: %d MiB held, want at most %d", state, held>>20, maxMemory>>20)
				}
				t.Logf("%s: %d MiB, %s", state, held>>20, took.Round(time.Millisecond))
			}
		})
	}
}

// fillCatalog runs fill (pkg/internal/fill) on a catalog, and returns how many
// live entries that has then.
func fillCatalog(t testing.TB, catalog string, args ...string) (entries int) {
	t.Helper()
	result := tools.Run(t, nil, tools.Fill(t), append(args, catalog)...)
	if result.Code != 0 {
		t.Fatalf("fill %v: exit code %d, want 0\n%s", args, result.Code, result.Stderr)
	}
	entries, err := strconv.Atoi(strings.TrimSpace(result.Stdout))
	if err != nil {
		t.Fatalf("fill %v says %q, want a number of entries", args, result.Stdout)
	}
	return entries
}

// warningPolicy writes a policy of one key, which warns.
func warningPolicy(t testing.TB) (file string) {
	t.Helper()
	_, public := keyFiles(t)
	file = filepath.Join(filepath.Dir(public), "policy.yaml")
	write(t, file, "version: 1\ndefault: {mode: warn, keys: [{file: k.pub}]}\n")
	return file
}

// measured runs a command and returns what it prints, and what it took.
func (w *world) measured(args ...string) (stdout string, took time.Duration, held int64) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), w.caib, args...)
	command.Env = w.env
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	begun := time.Now()
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	most := watchMemory(command.Process.Pid)
	if err := command.Wait(); err != nil {
		w.t.Errorf("caib %v: %v\n%s", args, err, errs.String())
	}
	return out.String(), time.Since(begun), most()
}

// watchMemory returns the most that a process had resident, in bytes, once it
// ended. What the system counts for an ended child is no use: it counts from
// before exec, when the child still was its parent.
func watchMemory(pid int) (most func() int64) {
	ended, result := make(chan struct{}), make(chan int64)
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		var held int64
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, rest, _ := strings.Cut(string(status), "VmHWM:")
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				held = max(held, kib<<10)
			}
			select {
			case <-ticker.C:
			case <-ended:
				result <- held
				return
			}
		}
	}()
	return func() int64 { close(ended); return <-result }
}
