// Package tools builds the programs that the end-to-end tests run, and runs
// them in an environment of their own.
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// limit bounds one run of a program: those of campaigns take minutes where others compute too.
const limit = 10 * time.Minute

var (
	dir  = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "caib-e2e-") })
	caib = sync.OnceValues(func() (string, error) { return build("caib", "", "github.com/oci-catalog/caib/cmd/caib") })
	oras = sync.OnceValues(func() (string, error) { return build("oras", "", "oras.land/oras/cmd/oras") })
	// Those of the module above this one use what only that module may import.
	fill      = sync.OnceValues(func() (string, error) { return build("fill", "..", "./pkg/internal/fill") })
	demo      = sync.OnceValues(func() (string, error) { return build("demo", "..", "./examples/demo") })
	imageSign = sync.OnceValues(func() (string, error) { return build("imagesign", "..", "./pkg/internal/imagesign") })
	// Those of sigstore are programs of a module of their own, below this one.
	cosign2 = sync.OnceValues(func() (string, error) {
		return build("cosign2", "sigstore", "github.com/sigstore/cosign/v2/cmd/cosign")
	})
	cosign3 = sync.OnceValues(func() (string, error) {
		return build("cosign3", "sigstore", "github.com/sigstore/cosign/v3/cmd/cosign")
	})
	fulcio = sync.OnceValues(func() (string, error) { return build("fulcio", "sigstore", "github.com/sigstore/fulcio") })
	rekor  = sync.OnceValues(func() (string, error) {
		return build("rekor", "sigstore", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix")
	})
	timestamps = sync.OnceValues(func() (string, error) { return build("timestamps", "sigstore", "./timestamps") })
	built      sync.Mutex
)

// Caib builds the caib command and returns its path.
func Caib(t testing.TB) string { t.Helper(); return must(t, caib) }

// Fill builds the program that fills catalogs, and returns its path.
func Fill(t testing.TB) string { t.Helper(); return must(t, fill) }

// Demo builds the program that shows caib on a registry of its own, and returns its path.
func Demo(t testing.TB) string { t.Helper(); return must(t, demo) }

// ImageSign builds the program that signs images and checks their signatures as
// caib does, and returns its path.
func ImageSign(t testing.TB) string { t.Helper(); return must(t, imageSign) }

// Oras builds the oras command, version 1.3, and returns its path.
func Oras(t testing.TB) string { t.Helper(); return must(t, oras) }

// Cosign2 builds the cosign command, version 2.6, and returns its path.
func Cosign2(t testing.TB) string { t.Helper(); return must(t, cosign2) }

// Cosign3 builds the cosign command, version 3.1, and returns its path.
func Cosign3(t testing.TB) string { t.Helper(); return must(t, cosign3) }

// Fulcio builds sigstore's certificate authority, version 1.8, and returns its
// path.
func Fulcio(t testing.TB) string { t.Helper(); return must(t, fulcio) }

// Rekor builds sigstore's transparency log, version 2.3, with storage in a
// directory, and returns its path.
func Rekor(t testing.TB) string { t.Helper(); return must(t, rekor) }

// Timestamps builds sigstore's timestamp authority, version 2.1, and returns its
// path.
func Timestamps(t testing.TB) string { t.Helper(); return must(t, timestamps) }

func must(t testing.TB, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds a program from this module, or from the one in a directory beside
// or below it.
func build(name, module, source string) (string, error) {
	built.Lock()
	defer built.Unlock()
	parent, err := dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(parent, name)
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	from := filepath.Join(strings.TrimSpace(string(root)), module)
	output, err := exec.Command("go", "build", "-C", from, "-o", path, source).CombinedOutput()
	if err != nil {
		return "", errors.New("build " + source + ": " + err.Error() + "\n" + string(output))
	}
	return path, nil
}

// Clean removes what was built; for TestMain, after all tests.
func Clean() {
	if parent, err := dir(); err == nil {
		_ = os.RemoveAll(parent)
	}
}

// Result is what a program did.
type Result struct {
	Stdout, Stderr string
	Code           int // -1: killed
}

// Run runs a program to its end, with a home directory of its own unless env
// has one.
func Run(t testing.TB, env []string, program string, args ...string) Result {
	t.Helper()
	return RunIn(t, "", env, program, args...)
}

// RunIn is Run in a working directory; "" is that of the test.
func RunIn(t testing.TB, dir string, env []string, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	command.Dir = dir
	command.WaitDelay = 10 * time.Second // for programs of its own that outlive it
	command.Env, command.Stdout, command.Stderr = Env(t, env), &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", program, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %v: still running after %s", program, args, limit)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: command.ProcessState.ExitCode()}
}

// Env is the environment of a program: nothing of the test's own but where
// programs are found.
func Env(t testing.TB, env []string) []string {
	t.Helper()
	clean := append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	for _, pair := range env {
		if strings.HasPrefix(pair, "HOME=") {
			return clean
		}
	}
	return append(clean, "HOME="+t.TempDir())
}
