package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// side is one command of a comparison; each call makes a new process.
type side struct {
	name    string
	command func() *exec.Cmd
}

// command makes caib processes with a home directory of their own; an empty
// home is a new, empty one for every process.
func (b *bench) command(home string, args ...string) func() *exec.Cmd {
	return func() *exec.Cmd {
		own := home
		if own == "" {
			own, _ = os.MkdirTemp(b.dir, "home-")
		}
		command := exec.CommandContext(b.ctx, b.caib, args...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + own}
		return command
	}
}

// figures are those of one process.
type figures struct {
	wall time.Duration
	peak int64 // bytes resident
}

func measure(command *exec.Cmd) (figures, error) {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	start := time.Now()
	if err := command.Start(); err != nil {
		return figures{}, err
	}
	ended := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watchMemory(command.Process.Pid, ended) }()
	err := command.Wait()
	f := figures{wall: time.Since(start)}
	close(ended)
	f.peak = <-peak
	if err != nil {
		return f, fmt.Errorf("%s: %w\n%s", command.Path, err, output.String())
	}
	return f, nil
}

// watchMemory returns the most memory that a process had resident, in bytes;
// 0 where the system does not tell. The figure of the operating system's own
// accounting is no use here: it counts the parent's memory too.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, rest, found := bytes.Cut(status, []byte("VmHWM:")); err == nil && found {
			var kib int64
			if _, err := fmt.Sscan(string(rest), &kib); err == nil {
				peak = max(peak, kib<<10)
			}
		}
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// compare runs all sides in turn, and prints their times and the ratio of the
// first to each other, pair by pair.
func (b *bench) compare(runs int, sides ...side) error {
	all := make([][]figures, len(sides))
	for run := range runs + 1 {
		for i, s := range sides {
			f, err := measure(s.command())
			if err != nil {
				return err
			}
			if run > 0 { // the first warms up
				all[i] = append(all[i], f)
			}
		}
	}
	fmt.Printf("  %-44s %10s %10s %10s %12s\n", "", "min", "median", "max", "peak memory")
	for i, s := range sides {
		var walls []time.Duration
		var peak int64
		for _, f := range all[i] {
			walls = append(walls, f.wall)
			peak = max(peak, f.peak)
		}
		slices.Sort(walls)
		fmt.Printf("  %-44s %10s %10s %10s %8d MiB\n", s.name, short(walls[0]), short(walls[len(walls)/2]), short(walls[len(walls)-1]), peak>>20)
	}
	for i := 1; i < len(sides); i++ {
		var ratios []float64
		for run := range all[0] {
			ratios = append(ratios, float64(all[0][run].wall)/float64(all[i][run].wall))
		}
		slices.Sort(ratios)
		fmt.Printf("  %-44s %10.2f %10.2f %10.2f\n", sides[0].name+" / "+sides[i].name, ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1])
	}
	return nil
}

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
