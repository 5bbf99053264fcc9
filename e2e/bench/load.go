package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// result is one run of wrk.
type result struct {
	rate   float64 // requests per second
	p99    time.Duration
	cost   float64 // processor time of the side for an answer, in microseconds
	errors string  // what wrk says went wrong
}

var (
	rateLine  = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	p99Line   = regexp.MustCompile(`99%\s+([0-9.]+[a-z]+)`)
	errorLine = regexp.MustCompile(`(?m)^\s+(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
)

// wrk puts a load on a URL.
func (b *bench) wrk(url string, connections int, encoding string, d time.Duration, more ...string) (result, error) {
	seconds := strconv.Itoa(max(1, int(d.Seconds())))
	arguments := append([]string{"-t", "2", "-c", strconv.Itoa(connections), "-d", seconds + "s", "--timeout", "10s", "--latency", "-H", "Accept-Encoding: " + encoding}, more...)
	output, err := exec.CommandContext(b.ctx, "wrk", append(arguments, url)...).CombinedOutput()
	rate, p99 := rateLine.FindSubmatch(output), p99Line.FindSubmatch(output)
	if err != nil || rate == nil || p99 == nil {
		return result{}, fmt.Errorf("wrk: %v\n%s", err, output)
	}
	r := result{errors: string(errorLine.Find(output))}
	if r.rate, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return r, err
	}
	r.p99, err = time.ParseDuration(string(p99[1]))
	return r, err
}

// processorTime is what a process has used of the processors.
func processorTime(pid int) time.Duration {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(status), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:13] { // in user mode, and in the kernel
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // as Linux shows it everywhere
}

// load puts the same loads on all sides in turn, and prints the ratios of the
// first to the others, pair by pair.
func (b *bench) load(sides ...*served) error {
	fmt.Printf("  %-34s %-14s %10s %10s %24s  %s\n", "requests per second", "", "median", "p99", "caib / it: min med max", "µs of a processor: median, it / caib")
	for _, connections := range []int{64, 1000} {
		for _, encoding := range []string{"identity", "gzip"} {
			for n, resource := range resources {
				all := make([][]result, len(sides))
				for range b.rounds {
					for i, side := range sides {
						before := processorTime(side.pid)
						r, err := b.wrk(side.url(n), connections, encoding, b.each)
						if err != nil {
							return err
						}
						r.cost = (processorTime(side.pid) - before).Seconds() * 1e6 / (r.rate * b.each.Seconds())
						all[i] = append(all[i], r)
					}
				}
				what := fmt.Sprintf("%s, %d connections, %s", resource.name, connections, strings.Replace(encoding, "identity", "plain", 1))
				printLoad(what, sides, all)
			}
		}
	}
	return nil
}

func printLoad(what string, sides []*served, all [][]result) {
	for i, side := range sides {
		var rates, ratios, costs, costRatios []float64
		var p99 []time.Duration
		wrong := ""
		for round, r := range all[i] {
			rates, p99 = append(rates, r.rate), append(p99, r.p99)
			ratios = append(ratios, all[0][round].rate/r.rate)
			costs, costRatios = append(costs, r.cost), append(costRatios, r.cost/all[0][round].cost)
			wrong += r.errors
		}
		slices.Sort(rates)
		slices.Sort(ratios)
		slices.Sort(costs)
		slices.Sort(costRatios)
		slices.Sort(p99)
		middle := len(rates) / 2
		fmt.Printf("  %-34s %-14s %10.0f %10s %10.2f %6.2f %6.2f %8.1f %6.2f %s\n", what, side.name, rates[middle], short(p99[middle]), ratios[0], ratios[middle], ratios[len(ratios)-1], costs[middle], costRatios[middle], wrong)
		what = ""
	}
}

// freeHost returns an address that nobody listens on.
func freeHost() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// serveBare is the role of the bare handler: net/http, and bytes in memory.
func serveBare(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	type body struct {
		bytes        []byte
		length, etag []string
	}
	bodies := map[string]body{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		bodies["/"+filepath.Base(path)] = body{text, []string{strconv.Itoa(len(text))}, []string{`"0123456789abcdef0123456789abcdef"`}}
	}
	jsonType, gzipped := []string{"application/json"}, []string{"gzip"}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, header := r.URL.Path, w.Header()
		if accepted := r.Header["Accept-Encoding"]; len(accepted) > 0 && accepted[0] == "gzip" {
			path += ".gz"
			header["Content-Encoding"] = gzipped
		}
		b := bodies[path]
		header["Content-Type"], header["Content-Length"], header["Etag"] = jsonType, b.length, b.etag
		_, _ = w.Write(b.bytes)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, listener.Addr())
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
