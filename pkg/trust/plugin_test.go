package trust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A plugin that never answers ends with its caller's patience, also where
// another program of its own has its standard output.
func TestPluginsThatHang(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the plugin is a shell script")
	}
	for name, script := range map[string]string{
		"waits for a program": "#!/bin/sh\nsleep 600\nexit 1\n",
		"leaves a program":    "#!/bin/sh\nsleep 600 &\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sigstore-kms-test")
			if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			testwait.Return(t, "the plugin to end", func() {
				_, err := openPlugin(ctx, "test://key", func(string) (string, error) { return path, nil })
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, entry.ErrUnreachable) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}
