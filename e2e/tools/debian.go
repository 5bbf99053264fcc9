package tools

import (
	"os"
	"os/exec"
	"testing"
)

// Debian returns the path of a program that a Debian package holds. Where it
// is not installed the test is skipped, but for CI, where everything is.
func Debian(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing: install the Debian package %s", program, debianPackage)
	default:
		t.Skipf("%s is missing: install the Debian package %s to run this test", program, debianPackage)
	}
	return path
}
