package testloop

import (
	"fmt"
	"os"
	"testing"
)

// Disk is a file system of its own.
type Disk struct {
	Dir string // where it is mounted
	t   testing.TB
}

// Memory returns a file system in memory of a size. Where nothing can be mounted, the
// test is skipped.
func Memory(t testing.TB, size int64) *Disk {
	t.Helper()
	return mounted(t, memory(size)...)
}

// MountMemory mounts a file system in memory on a directory. An error says why it
// cannot.
func MountMemory(dir string, size int64) (unmount func() error, err error) {
	return mount(dir, memory(size)...)
}

func memory(size int64) []string {
	return []string{"-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs"}
}

// Ext4 returns a file system as on a disk, over a device of a size. Where there can be
// none, the test is skipped.
func Ext4(t testing.TB, size int64) *Disk {
	t.Helper()
	device, _ := New(t, size)
	if _, err := run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", device); err != nil {
		t.Skipf("no file system can be made here: %v", err)
	}
	d := mounted(t, device)
	if err := os.Remove(d.Dir + "/lost+found"); err != nil {
		t.Fatal(err)
	}
	return d
}

func mounted(t testing.TB, args ...string) *Disk {
	t.Helper()
	d := &Disk{Dir: t.TempDir(), t: t}
	unmount, err := mount(d.Dir, args...)
	if err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func mount(dir string, args ...string) (unmount func() error, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("mounting needs root")
	}
	_, err = run("mount", append(args, dir)...)
	return func() error {
		_, err := run("umount", "--lazy", dir)
		return err
	}, err
}

// Remount changes options of the mount, such as ro.
func (d *Disk) Remount(options string) {
	d.t.Helper()
	if _, err := run("mount", "-o", "remount,"+options, d.Dir); err != nil {
		d.t.Fatal(err)
	}
}
