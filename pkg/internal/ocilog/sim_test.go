package ocilog

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	schedules = flag.Int("schedules", 0, "how many histories each simulation has; 0 is 1000, and 250 of copies")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first of them, the next ones following; 0 takes half of them from 1 on, half from a random seed on")
)

// maxFailed is how many failing schedules are enough.
const maxFailed = 3

// TestSimulation runs the code of this package in random histories: writers that
// publish, several of them one image, edit, remove, accept losses and write
// snapshots, readers whose answers lag,
// crashes, requests that fail, and an adversary who may push and delete but not
// sign. Each history is one of a seed, and none takes real time. See check and
// end for what must hold.
//
//	go test ./pkg/internal/ocilog -run '^TestSimulation$' -seed SEED -schedules 1
//
// runs one of them again.
func TestSimulation(t *testing.T) {
	t.Parallel()
	var twins, edits, withdrawals atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d withdrawals, %d images under two names in the end, %d edits that had to last", withdrawals.Load(), twins.Load(), edits.Load())
	})
	simulateAll(t, simulationOfOne, func(done *schedule) {
		twins.Add(int64(done.twins))
		edits.Add(int64(done.edits))
		withdrawals.Add(int64(done.withdrawals()))
	})
}

// TestSimulationOfCopies does the same with copies between several repositories. See
// copying.check, copying.checkDone and endCopies for what must hold.
func TestSimulationOfCopies(t *testing.T) {
	t.Parallel()
	simulateAll(t, simulationOfCopies, func(*schedule) {})
}

// simulation is a kind of histories.
type simulation struct {
	usual int // histories
	make  func(seed uint64, dir string) *schedule
	end   func(*schedule, context.Context)
}

var (
	simulationOfOne    = simulation{1000, newSchedule, (*schedule).end}
	simulationOfCopies = simulation{250, newCopySchedule, (*schedule).endCopies}
)

// simulateAll runs as many schedules as are wanted, and calls done after each.
func simulateAll(t *testing.T, kind simulation, count func(*schedule)) {
	seeds := func(i int) uint64 { return *firstSeed + uint64(i) }
	if *firstSeed == 0 {
		random := 1 + rand.Uint64N(1<<40)
		seeds = func(i int) uint64 {
			if i%2 == 0 {
				return 1 + uint64(i/2)
			}
			return random + uint64(i/2)
		}
		t.Logf("the seeds begin at 1 and at %d", random)
	}
	before := debug.SetGCPercent(400) // most of the garbage is short-lived buffers of compressors
	t.Cleanup(func() { debug.SetGCPercent(before) })
	var next, failed atomic.Int64
	wanted := *schedules
	if wanted == 0 {
		wanted = kind.usual
	}
	for range runtime.GOMAXPROCS(0) {
		t.Run("worker", func(t *testing.T) {
			t.Parallel()
			dir := simulationDir(t)
			for i := int(next.Add(1)) - 1; i < wanted && failed.Load() < maxFailed; i = int(next.Add(1)) - 1 {
				done := kind.simulate(t, dir, seeds(i), false)
				count(done)
				if violation := done.failed; violation != "" {
					failed.Add(1)
					again := kind.simulate(t, dir, seeds(i), true)
					t.Errorf("schedule %d, seed %d: %s\n%s\n%s", i+1, seeds(i), violation, describe(again), strings.Join(again.trace, "\n"))
				}
			}
		})
	}
}

func describe(s *schedule) string { return fmt.Sprintf("%+v, names %v", s.setting, s.names) }

// A seed is one history, so that what fails can be looked at.
func TestSimulationIsDeterministic(t *testing.T) {
	dir := simulationDir(t)
	for _, kind := range []simulation{simulationOfOne, simulationOfCopies} {
		for seed := range uint64(10) {
			first, second := kind.simulate(t, dir, seed+1, true), kind.simulate(t, dir, seed+1, true)
			if diff := cmp.Diff(first.trace, second.trace); diff != "" {
				t.Errorf("seed %d has two histories:\n%s", seed+1, diff)
			}
		}
	}
}

// simulate runs one schedule to its end.
func (kind simulation) simulate(t *testing.T, dir string, seed uint64, tracing bool) *schedule {
	t.Helper()
	watch := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("the schedule of seed %d does not end within a minute", seed)) })
	defer watch.Stop()
	var s *schedule
	dir, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		s = kind.make(seed, dir)
		s.tracing = tracing
		s.interleave(t.Context())
		if s.failed == "" {
			kind.end(s, t.Context())
		}
	})
	return s
}

// simulationDir is a directory in memory where there is one: a state is synced
// to the disk with each write.
func simulationDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "caib-simulation-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
