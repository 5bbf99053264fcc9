// Command caib publishes OS images to a catalog inside an OCI registry, and
// finds them again.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/oci-catalog/caib/cmd/caib/internal/cli"
)

func main() {
	limitMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(code)
}
