package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// atScale lists a large catalog on go-containerregistry's in-process registry,
// counting what crosses the wire.
func (b *bench) atScale(entries int) error {
	var requests, bytes atomic.Int64
	registry := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		registry.ServeHTTP(&countingWriter{w, &bytes}, r)
	}))
	defer server.Close()
	catalog := strings.TrimPrefix(server.URL, "http://") + "/team/catalog"
	start := time.Now()
	if _, err := b.fill(catalog, "-entries", fmt.Sprint(entries)); err != nil {
		return err
	}
	fmt.Printf("\n%d entries on go-containerregistry's in-process registry, published in %s\n", entries, time.Since(start).Round(time.Second))
	warm := filepath.Join(b.dir, "warm-at-scale")
	fmt.Printf("  %-44s %10s %10s %10s %12s\n", "", "wall", "requests", "KiB", "peak memory")
	for _, row := range []struct {
		name, home string
		args       []string
	}{
		{"list, cold", warm, []string{"list"}},
		{"list, warm", warm, []string{"list"}},
		{"list --target rpi4 --latest, warm", warm, []string{"list", "--target", "rpi4", "--latest"}},
		{"list -o json, warm", warm, []string{"list", "-o", "json"}},
		{"get, warm", warm, []string{"get", fmt.Sprintf("autosd-qemu-%05d", 0)}},
		{"get, cold", "", []string{"get", fmt.Sprintf("autosd-qemu-%05d", 0)}},
	} {
		requests.Store(0)
		bytes.Store(0)
		f, err := measure(b.command(row.home, append([]string{"catalog", "--catalog", catalog}, row.args...)...)())
		if err != nil {
			return err
		}
		fmt.Printf("  %-44s %10s %10d %10d %8d MiB\n", row.name, short(f.wall), requests.Load(), bytes.Load()>>10, f.peak>>20)
	}
	return nil
}

// countingWriter counts the bytes of bodies.
type countingWriter struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}
