package main

import (
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// grown is what one command took in a catalog of some size.
type grown struct {
	figures
	requests, bytes int64
}

// growth measures commands in catalogs of ten revisions a name, each ten times as large as
// the one before: in an in-process registry, and in a layout. The exponent says how what
// is measured grows with the number of revisions: 1 is in proportion.
func (b *bench) growth(largest int) error {
	var requests, bytes atomic.Int64
	registry := ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		registry.ServeHTTP(&countingWriter{w, &bytes}, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, kind := range []string{"registry", "layout"} {
		var before map[string]grown
		for _, size := range []int{largest / 100, largest / 10, largest} {
			catalog, image := fmt.Sprintf("%s/team/catalog-%d", host, size), fmt.Sprintf("%s/os/new-%d:1", host, size)
			if kind == "layout" {
				catalog, image = "oci:"+filepath.Join(b.dir, fmt.Sprint("catalog-", size)), "oci:"+filepath.Join(b.dir, fmt.Sprint("image-", size))+":1"
			}
			requests.Store(0)
			bytes.Store(0)
			start := time.Now()
			if _, err := b.fill(catalog, "-entries", fmt.Sprint(size), "-names", fmt.Sprint(size/10)); err != nil {
				return err
			}
			fmt.Printf("\n%d revisions of %d names in a %s, published in %s: %.1f requests and %.1f KiB down a revision, in batches of 32\n", size, size/10, kind,
				time.Since(start).Round(time.Second), float64(requests.Load())/float64(size), float64(bytes.Load())/float64(size)/1024)
			_, err := pushImage(b.ctx, image, "1")
			if err != nil {
				return err
			}
			if before, err = b.grow(catalog, image, filepath.Join(b.dir, fmt.Sprint("warm-", kind, size)), before, &requests, &bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// grow measures commands in one catalog, beside what was measured before.
func (b *bench) grow(catalog, image, warm string, before map[string]grown, requests, bytes *atomic.Int64) (map[string]grown, error) {
	now := map[string]grown{}
	name := fmt.Sprintf("autosd-qemu-%05d", 0)
	fmt.Printf("  %-16s %10s %10s %10s %12s   %s\n", "", "wall", "requests", "KiB", "peak memory", "exponents of wall, requests, KiB, memory")
	for _, row := range []struct {
		name, home string
		args       []string
	}{
		{"list, cold", "", []string{"list", "-o", "name"}},
		{"list, to warm", warm, []string{"list", "-o", "name"}},
		{"list, warm", warm, []string{"list", "-o", "name"}},
		{"get, cold", "", []string{"get", name}},
		{"get, warm", warm, []string{"get", name}},
		{"history, cold", "", []string{"history", name}},
		{"history, warm", warm, []string{"history", name}},
		{"publish, cold", "", []string{"publish", image, "--name", "new"}},
		{"remove, cold", "", []string{"remove", "new", "--force"}},
		{"publish, warm", warm, []string{"publish", image, "--name", "new"}},
	} {
		requests.Store(0)
		bytes.Store(0)
		args := append([]string{"catalog", "--catalog", catalog}, row.args...)
		f, err := measure(b.command(row.home, args...)())
		if err != nil {
			return nil, err
		}
		now[row.name] = grown{f, requests.Load(), bytes.Load()}
		fmt.Printf("  %-16s %10s %10d %10d %8d MiB   %s\n", row.name, short(f.wall), requests.Load(), bytes.Load()>>10, f.peak>>20, now[row.name].exponents(before[row.name]))
	}
	return now, nil
}

// exponents are those of growth since a catalog of a tenth of the size.
func (g grown) exponents(before grown) string {
	if before.wall == 0 {
		return ""
	}
	of := func(now, then float64) string {
		if then == 0 || now == 0 {
			return "  - "
		}
		return fmt.Sprintf("%4.1f", math.Log10(now/then))
	}
	return strings.Join([]string{
		of(float64(g.wall), float64(before.wall)), of(float64(g.requests), float64(before.requests)),
		of(float64(g.bytes), float64(before.bytes)), of(float64(g.peak), float64(before.peak)),
	}, " ")
}
