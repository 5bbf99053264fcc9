// Command caib publishes OS images to a catalog inside an OCI registry, and
// finds them again.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/oci-catalog/caib/cmd/caib/internal/cli"
)

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		// A soft limit, in bytes: collect more often rather than hold more than
		// this, so that 10,000 entries are listed in less than 100 MB.
		debug.SetMemoryLimit(76 << 20)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(code)
}
