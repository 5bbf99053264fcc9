// Package testloop makes loop devices for tests, where the system lets it: as root,
// outside of most containers.
package testloop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Attach returns a loop device over a file, with its partitions. Detach is to be
// called when nothing uses it any more. An error says why there is none.
func Attach(file string) (device string, detach func() error, err error) {
	if os.Geteuid() != 0 {
		return "", nil, fmt.Errorf("loop devices need root")
	}
	device, err = run("losetup", "--find", "--show", "--partscan", file)
	return device, func() error {
		_, err := run("losetup", "--detach", device)
		return err
	}, err
}

// New returns a loop device of a size, and the file that it is over. Where there can
// be none, the test is skipped.
func New(t testing.TB, size int64) (device, file string) {
	t.Helper()
	file = t.TempDir() + "/device"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	device, detach, err := Attach(file)
	if err != nil {
		t.Skipf("no loop device can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := detach(); err != nil {
			t.Error(err)
		}
	})
	return device, file
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}
