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
	"strconv"
	"strings"
	"time"
)

// plan says what to measure.
type plan struct {
	caib                        string
	runs, entries, many, signed int
	only                        string
	rounds, pulls               int
	mib                         int64
	each, endure                time.Duration
}

func main() {
	var p plan
	flag.StringVar(&p.caib, "caib", "bin/caib", "the caib binary to measure")
	flag.IntVar(&p.runs, "runs", 15, "counted runs of each command")
	flag.IntVar(&p.entries, "entries", 1000, "entries on distribution 3.1")
	flag.IntVar(&p.many, "many", 10_000, "entries on the in-process registry")
	flag.IntVar(&p.signed, "signed", 200, "signed entries to verify")
	flag.StringVar(&p.only, "only", "", "measure one part: lists, scale, growth, trust, serve, pull or startup")
	flag.IntVar(&p.rounds, "rounds", 3, "rounds of each load on the index server")
	flag.IntVar(&p.pulls, "pulls", 5, "counted pulls of each kind")
	flag.Int64Var(&p.mib, "mib", 1024, "MiB of the disk that is pulled")
	flag.DurationVar(&p.each, "each", 3*time.Second, "how long each load lasts")
	flag.DurationVar(&p.endure, "endure", time.Minute, "how long the load with 1,000 connections lasts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := p.run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures, or is one of the roles that measuring starts in processes
// of their own: a registry, the client without a catalog, and the bare handler.
func (p *plan) run(ctx context.Context, role []string) error {
	switch {
	case len(role) == 2 && role[0] == "registry":
		return serveRegistry(ctx, role[1])
	case len(role) == 2 && role[0] == "naive":
		return listNaively(ctx, role[1])
	case len(role) == 2 && role[0] == "bare":
		return serveBare(ctx, role[1])
	case len(role) > 0:
		return fmt.Errorf("unknown role %q", role)
	}
	binary, err := filepath.Abs(p.caib)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "caib-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, caib: binary, dir: dir, runs: p.runs, rounds: p.rounds, each: p.each, endure: p.endure}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"lists", func() error { return b.lists(p.entries) }},
		{"scale", func() error { return b.atScale(p.many) }},
		{"growth", func() error { return b.growth(p.many) }},
		{"trust", func() error { return b.trust(p.signed, p.entries) }},
		{"serve", func() error { return b.serve(p.many) }},
		{"pull", func() error { return b.pull(p.pulls, p.mib) }},
		{"startup", b.startUp},
	} {
		if p.only != "" && p.only != part.name {
			continue
		}
		if err := part.measure(); err != nil {
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

	rounds       int // of loads
	each, endure time.Duration
}

// fill fills a catalog by the program that does (pkg/internal/fill), and returns
// how many live entries it has then.
func (b *bench) fill(catalog string, args ...string) (entries int, err error) {
	program := filepath.Join(b.dir, "fill")
	if output, err := exec.CommandContext(b.ctx, "go", "build", "-C", "..", "-o", program, "./pkg/internal/fill").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build fill: %w\n%s", err, output)
	}
	command := exec.CommandContext(b.ctx, program, append(args, catalog)...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("fill %v: %w", args, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(output)))
}

// buildOras builds the oras command, and returns its path.
func (b *bench) buildOras() (path string, err error) {
	path = filepath.Join(b.dir, "oras")
	if output, err := exec.CommandContext(b.ctx, "go", "build", "-o", path, "oras.land/oras/cmd/oras").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build oras: %w\n%s", err, output)
	}
	return path, nil
}

// startUp compares `caib version` with `oras version`.
func (b *bench) startUp() error {
	oras, err := b.buildOras()
	if err != nil {
		return err
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
