package cli

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// The catalog that BenchmarkCommands reads, if it is set: `make pgo` fills one.
const benchCatalog = "CAIB_BENCH_CATALOG"

// BenchmarkCommands is what reading a catalog costs whose revisions are all cached.
func BenchmarkCommands(b *testing.B) {
	catalog := os.Getenv(benchCatalog)
	if catalog == "" {
		b.Skip(benchCatalog + " names no catalog")
	}
	home := b.TempDir()
	do := func(b *testing.B, args ...string) {
		b.Helper()
		code := Main(b.Context(), append(args, "--catalog", catalog), Streams{
			In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Now: time.Now,
			Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
		})
		if code != exitOK {
			b.Fatalf("caib %v: exit code %d", args, code)
		}
	}
	do(b, "catalog", "list")
	for name, args := range map[string][]string{
		"list":     {"catalog", "list"},
		"json":     {"catalog", "list", "-o", "json"},
		"filtered": {"catalog", "list", "--target", "rpi4", "--tags", "nightly"},
		"get":      {"catalog", "get", "autosd-rpi4-00001"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do(b, args...)
			}
		})
	}
}
