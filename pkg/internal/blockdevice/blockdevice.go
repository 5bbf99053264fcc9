// Package blockdevice writes disk images to block devices. It says what a device is,
// what is on it and what uses it, and writes in an order that leaves nothing to boot
// from until the image is known to be right:
//
//	info, err := blockdevice.Inspect("/dev/sdb")
//	err = info.Check(size, force)
//	disk, err := blockdevice.Open(info)
//	w := blockdevice.NewWriter(disk, blockdevice.Options{})
//	_, err = io.Copy(w, image)
//	err = w.Commit(ctx) // only if all of it is right
//	reread, err := w.Close()
//
// Before the first byte behind it is written, the first MiB is zero on the device; it
// is written when all the rest is. The last MiB of a whole disk, where a copy of the
// partition table may be that firmware falls back to, is made zero with it.
package blockdevice

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Info describes a device.
type Info struct {
	Path      string // as it was given
	Name      string // the kernel's, such as sdb
	Model     string // "" where nothing is known
	SizeBytes int64
	// Partition: it is a part of a disk, or made of other devices, as LVM's are.
	Partition bool
	Content   []Content // what is on it, as far as it is known

	number   string // MAJOR:MINOR
	sequence uint64 // which of the disks that had this number; 0 is not known
	readOnly bool
	root     bool     // the running system is on it
	uses     []string // sentences that say who uses it
}

// Content is a partition of a device, or what the device holds without any.
type Content struct {
	Name      string // the kernel's, such as sdb1
	SizeBytes int64
	Type      string // of the file system or table: ext4, vfat, gpt; "" is not known
	Label     string // the partition's name, or the file system's
}

// Error says why a device is not written to.
type Error struct {
	Path  string
	Force bool // with PullOptions.Force it is
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// refuse makes an Error of a kind and a sentence about the path.
func refuse(path string, kind error, format string, args ...any) error {
	return &Error{Path: path, Err: fmt.Errorf("%w: %s %s", kind, path, fmt.Sprintf(format, args...))}
}

// Check reports why an image of a size, 0 where it is not known, is not written to a
// device: as an Error.
func (i *Info) Check(size int64, force bool) error {
	switch {
	case i.SizeBytes == 0:
		return refuse(i.Path, entry.ErrInvalid, "has no medium")
	case i.readOnly:
		return refuse(i.Path, entry.ErrInvalid, "is read-only")
	case i.root:
		return refuse(i.Path, entry.ErrConflict, "holds the running system")
	case len(i.uses) > 0:
		return refuse(i.Path, entry.ErrConflict, "is in use: %s", sentence(i.uses))
	case size > i.SizeBytes:
		return refuse(i.Path, entry.ErrNoRoom, "is too small: it has %d bytes, and the image %d", i.SizeBytes, size)
	case i.Partition && !force:
		return &Error{Path: i.Path, Force: true, Err: fmt.Errorf("%w: %s is a part of another device", entry.ErrInvalid, i.Path)}
	}
	return nil
}

// sentence joins what uses a device, as far as one can read.
func sentence(uses []string) string {
	const most = 4
	text := uses[0]
	for _, use := range uses[1:min(len(uses), most)] {
		text += ", " + use
	}
	if len(uses) > most {
		text += fmt.Sprintf(" and %d more", len(uses)-most)
	}
	return text
}
