//go:build !linux

package blockdevice

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Inspect describes the block device at a path.
func Inspect(path string) (*Info, error) {
	return nil, fmt.Errorf("%w: %s: devices are written on Linux only", entry.ErrInvalid, path)
}

// Open opens a device that nobody uses.
func Open(info *Info) (Disk, error) {
	return nil, fmt.Errorf("%w: %s: devices are written on Linux only", entry.ErrInvalid, info.Path)
}
