// Command bench measures caib against other ways to read the same catalog, both
// sides in turn in one run, and prints every ratio with its minimum, median and
// maximum. `make bench` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

func main() {
	caib := flag.String("caib", "bin/caib", "the caib binary to measure")
	runs := flag.Int("runs", 15, "counted runs of each command")
	entries := flag.Int("entries", 1000, "entries on distribution 3.1")
	many := flag.Int("many", 10_000, "entries on the in-process registry")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Args(), *caib, *runs, *entries, *many); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures, or is one of the two roles that measuring starts in processes
// of their own: a registry, and the client without a catalog.
func run(ctx context.Context, role []string, caib string, runs, entries, many int) error {
	switch {
	case len(role) == 2 && role[0] == "registry":
		return serveRegistry(ctx, role[1])
	case len(role) == 2 && role[0] == "naive":
		return listNaively(ctx, role[1])
	case len(role) > 0:
		return fmt.Errorf("unknown role %q", role)
	}
	binary, err := filepath.Abs(caib)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "caib-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, caib: binary, dir: dir, runs: runs}
	for _, part := range []func() error{
		func() error { return b.lists(entries) },
		func() error { return b.atScale(many) },
		b.startUp,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// bench is one run of all measurements.
type bench struct {
	ctx  context.Context
	caib string
	dir  string
	runs int
}

// startUp compares `caib version` with `oras version`.
func (b *bench) startUp() error {
	oras := filepath.Join(b.dir, "oras")
	if output, err := exec.CommandContext(b.ctx, "go", "build", "-o", oras, "oras.land/oras/cmd/oras").CombinedOutput(); err != nil {
		return fmt.Errorf("build oras: %w\n%s", err, output)
	}
	fmt.Printf("\nStart-up\n")
	return b.compare(3*b.runs,
		side{"caib version", b.command("", "version")},
		side{"oras version", func() *exec.Cmd { return exec.CommandContext(b.ctx, oras, "version") }},
	)
}

// get fetches a URL and returns the status of the answer.
func get(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
