package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// resources are what is asked for: what every client asks, what a flashing
// station asks, and one entry.
var resources = []struct{ name, path string }{
	{"list", "/v1/catalog/images?limit=20"},
	{"filtered", "/v1/catalog/images?target=rpi4&tags=nightly&latest=false&limit=20"},
	{"get", "/v1/catalog/images/autosd-rpi4-00001"},
}

// served is one side of the comparison, ready to be asked.
type served struct {
	name string
	url  func(n int) string // of a resource
	pid  int
	stop func()
}

// serve compares the index server with nginx and with a bare handler, which
// serve the very same bytes from files and from memory.
func (b *bench) serve(entries int) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		fmt.Printf("\nThe index server is not measured: wrk is not installed\n")
		return nil
	}
	registry := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer registry.Close()
	catalog := strings.TrimPrefix(registry.URL, "http://") + "/team/catalog"
	if _, err := b.fill(catalog, "-entries", fmt.Sprint(entries)); err != nil {
		return err
	}
	fmt.Printf("\nThe index server with %d entries\n", entries)
	home, err := b.starts(catalog)
	if err != nil {
		return err
	}
	ours, _, err := b.startServer(home, catalog)
	if err != nil {
		return err
	}
	defer ours.stop()
	dir, err := b.copies(ours)
	if err != nil {
		return err
	}
	sides := []*served{ours}
	starts := []func(string) (*served, error){b.startBare}
	if _, err := exec.LookPath("nginx"); err == nil {
		starts = append(starts, b.startNginx)
	} else {
		fmt.Println("  nginx is not installed: it is left out")
	}
	for _, start := range starts {
		other, err := start(dir)
		if err != nil {
			return err
		}
		defer other.stop()
		sides = append(sides, other)
	}
	watched := watch(ours.pid)
	if err := b.load(sides...); err != nil {
		return err
	}
	fmt.Printf("  caib has at most %d MiB resident meanwhile\n", slices.Max(watched())>>20)
	return b.endurance(ours)
}

// starts measures how long the server takes until it is ready. It returns a home whose
// cache is warm.
func (b *bench) starts(catalog string) (home string, err error) {
	home = filepath.Join(b.dir, "server-home")
	for _, start := range []string{"cold", "from the cache"} {
		var times []time.Duration
		var sizes []int64
		for range 2*b.rounds + 1 {
			if start == "cold" {
				home = filepath.Join(b.dir, "server-home-"+strconv.Itoa(len(times)))
			}
			ours, ready, err := b.startServer(home, catalog)
			if err != nil {
				return "", err
			}
			time.Sleep(3 * time.Second) // the log is read by then, from the cache too
			times, sizes = append(times, ready), append(sizes, resident(ours.pid, "VmRSS:"))
			ours.stop()
		}
		slices.Sort(times)
		fmt.Printf("  start to ready, %-16s %10s %10s %10s   resident at most %d MiB\n", start, short(times[0]), short(times[len(times)/2]), short(times[len(times)-1]), slices.Max(sizes)>>20)
	}
	return home, nil
}

// started starts a process that says on a pipe where it listens.
func (b *bench) started(name string, command *exec.Cmd, say func(line string) string) (*served, error) {
	log, err := command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &served{name: name, pid: command.Process.Pid, stop: func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	}}
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		if host := say(scanner.Text()); host != "" {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			s.url = func(n int) string { return "http://" + host + resources[n].path }
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New(name + " does not listen")
}

// startServer starts `caib catalog serve`, and waits until it has an index.
func (b *bench) startServer(home, catalog string) (*served, time.Duration, error) {
	begun := time.Now()
	command := b.command(home, "catalog", "serve", "--catalog", catalog, "--listen", "127.0.0.1:0", "--verify-interval", "24h")()
	s, err := b.started("caib", command, func(line string) string {
		_, rest, _ := strings.Cut(line, "msg=listening address=")
		host, _, _ := strings.Cut(rest, " ")
		return host
	})
	if err != nil {
		return nil, 0, err
	}
	if err := awaitReady(b.ctx, strings.TrimSuffix(s.url(0), resources[0].path)); err != nil {
		s.stop()
		return nil, 0, err
	}
	return s, time.Since(begun), nil
}

// awaitReady waits until a server has an index.
func awaitReady(ctx context.Context, address string) error {
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(2 * time.Millisecond) {
		if status, err := get(ctx, address+"/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready after a minute", address)
}

// copies fetches every resource, plain and compressed, into files.
func (b *bench) copies(ours *served) (dir string, err error) {
	dir = filepath.Join(b.dir, "static")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for n, r := range resources {
		for encoding, suffix := range map[string]string{"identity": ".json", "gzip": ".json.gz"} {
			output, err := exec.CommandContext(b.ctx, "curl", "-sSf", "-H", "Accept-Encoding: "+encoding, "-o", filepath.Join(dir, r.name+suffix), ours.url(n)).CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("curl: %w\n%s", err, output)
			}
		}
	}
	return dir, os.Chmod(b.dir, 0o755)
}

const nginxConfig = `daemon off; worker_processes auto; pid %[1]s/nginx.pid; error_log stderr notice;
events { worker_connections 8192; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/json;
  open_file_cache max=100; open_file_cache_valid 1h; gzip_static on;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s backlog=4096; root %[3]s; }
}
`

func (b *bench) startNginx(dir string) (*served, error) {
	host, err := freeHost()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, b.dir, host, dir), 0o644); err != nil {
		return nil, err
	}
	s, err := b.started("nginx", exec.CommandContext(b.ctx, "nginx", "-c", config), func(line string) string {
		if strings.Contains(line, "start worker process ") {
			return host
		}
		return ""
	})
	if s != nil {
		s.url = func(n int) string { return "http://" + host + "/" + resources[n].name + ".json" }
	}
	return s, err
}

func (b *bench) startBare(dir string) (*served, error) {
	s, err := b.started("bare handler", exec.CommandContext(b.ctx, os.Args[0], "bare", dir), func(line string) string { return line })
	if s != nil {
		host := strings.TrimSuffix(s.url(0), resources[0].path)
		s.url = func(n int) string { return host + "/" + resources[n].name + ".json" }
	}
	return s, err
}

// resident returns what a process has resident, in bytes.
func resident(pid int, field string) (bytes int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), field)
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}

// paths is a script of wrk that asks for all resources in turn, with a pause
// before each request of a connection.
const paths = `local paths, n = {%s}, 0
request = function()
  n = n + 1
  return wrk.format("GET", paths[n %% #paths + 1])
end
delay = function() return %d end
`

// endurance holds 1,000 connections for a minute, that ask for everything in
// turn: first ten times a second each, then as fast as they can.
func (b *bench) endurance(ours *served) error {
	fmt.Printf("  1,000 connections for %s: list, filtered list and get in turn\n", b.endure)
	var quoted []string
	for _, r := range resources {
		quoted = append(quoted, strconv.Quote(r.path))
	}
	for _, pause := range []time.Duration{100 * time.Millisecond, 0} {
		script := filepath.Join(b.dir, "paths.lua")
		if err := os.WriteFile(script, fmt.Appendf(nil, paths, strings.Join(quoted, ", "), pause.Milliseconds()), 0o644); err != nil {
			return err
		}
		watched := watch(ours.pid)
		r, err := b.wrk(ours.url(0), 1000, "identity", b.endure, "-s", script)
		sizes := watched()
		if err != nil {
			return err
		}
		part := max(1, len(sizes)/6)
		fmt.Printf("    %-22s %10.0f requests per second, p99 %8s, %s; resident at most %d MiB in the first sixth, %d MiB in the last\n",
			map[bool]string{true: "ten times a second", false: "as fast as they can"}[pause > 0], r.rate, short(r.p99), cmp.Or(r.errors, "no error"),
			slices.Max(sizes[:part])>>20, slices.Max(sizes[len(sizes)-part:])>>20)
	}
	return nil
}

// watch notes what a process has resident, until it is told to end.
func watch(pid int) (end func() []int64) {
	stop, done := make(chan struct{}), make(chan []int64)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		sizes := []int64{resident(pid, "VmRSS:")}
		for {
			select {
			case <-stop:
				done <- sizes
				return
			case <-tick.C:
				sizes = append(sizes, resident(pid, "VmRSS:"))
			}
		}
	}()
	return func() []int64 { close(stop); return <-done }
}
