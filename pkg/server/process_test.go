package server_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// ownProcess reports whether the test that calls it runs in a process of its own.
// Where it does not, it runs the test in one, and fails it if it fails there. Limits
// of a process are for such tests: in the process that `go test` started, they
// would concern the files that package testing itself writes.
func ownProcess(t *testing.T) bool {
	t.Helper()
	const variable = "CAIB_TEST_PROCESS"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v="+strconv.FormatBool(testing.Verbose()))
	command.Env = append(os.Environ(), variable+"="+t.Name())
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("in a process of its own:\n%s", out)
	}
	return false
}
