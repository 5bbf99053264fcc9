package blockdevice

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Inspect describes the block device at a path.
func Inspect(path string) (*Info, error) {
	var found unix.Stat_t
	if err := unix.Stat(path, &found); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", entry.ErrInvalid, path, err)
	}
	if found.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil, fmt.Errorf("%w: %s is no block device", entry.ErrInvalid, path)
	}
	var content io.ReaderAt
	if file, err := os.Open(path); err == nil { // who may not read it learns less
		defer file.Close()
		content = file
	}
	return system("/").inspect(path, number(found.Rdev), content)
}

func number(device uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
}

// blkGetDiskSeq asks for the number of a disk that no other has until the system
// starts again.
const blkGetDiskSeq = 0x80081280

// directSize is as much as is read past the cache at once, and what its offsets are
// multiples of.
const (
	directSize  = 1 << 20
	directBlock = 4 << 10
)

// blockDisk is a device that is open.
type blockDisk struct {
	info    *Info
	file    *os.File
	direct  bool     // it is read past the cache
	dropped bool     // the cache was emptied
	past    *os.File // to read past the cache; nil until it is needed
	buffer  []byte   // for that, at the beginning of a page
}

// Open opens a device that nobody uses, and keeps others from using it. That it is
// in use, or no longer the one that was inspected, is an Error.
func Open(info *Info) (Disk, error) {
	file, err := os.OpenFile(info.Path, os.O_RDWR|os.O_EXCL, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, refuse(info.Path, entry.ErrConflict, "is in use: by another program, or mounted where this one cannot see it")
	case errors.Is(err, unix.EROFS):
		return nil, refuse(info.Path, entry.ErrInvalid, "is read-only")
	case errors.Is(err, os.ErrPermission):
		return nil, &Error{Path: info.Path, Err: fmt.Errorf("%w: %w", entry.ErrUnauthorized, err)}
	case err != nil:
		return nil, err
	}
	d := &blockDisk{info: info, file: file, direct: true}
	if err := d.same(); err != nil {
		file.Close()
		return nil, err
	}
	_ = file.Sync() // it says what failed before, which is none of what is written now
	return d, nil
}

// same reports that a device is no longer the one that was inspected.
func (d *blockDisk) same() error {
	var found unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &found); err != nil {
		return err
	}
	size, err := d.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var sequence uint64
	if d.info.sequence != 0 { // older kernels have none
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), blkGetDiskSeq, uintptr(unsafe.Pointer(&sequence))); errno != 0 {
			sequence = d.info.sequence
		}
	}
	if number(found.Rdev) != d.info.number || size != d.info.SizeBytes || sequence != d.info.sequence {
		return refuse(d.info.Path, entry.ErrConflict, "is another device than a moment ago")
	}
	return nil
}

func (d *blockDisk) Info() *Info { return d.info }

func (d *blockDisk) WriteAt(p []byte, at int64) (int, error) {
	n, err := d.file.WriteAt(p, at)
	return n, d.explain(err)
}

// explain says of errors of the device that they are, as an Error.
func (d *blockDisk) explain(err error) error { return explain(d.info.Path, err) }

func explain(path string, err error) error {
	for _, lost := range []error{unix.EIO, unix.ENXIO, unix.ENODEV, unix.ENOMEDIUM, unix.EREMOTEIO} {
		if errors.Is(err, lost) {
			return &Error{Path: path, Err: fmt.Errorf("%s was taken out, or is broken: %w", path, err)}
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		return &Error{Path: path, Err: fmt.Errorf("%w: %s has less than it says: %w", entry.ErrNoRoom, path, err)}
	}
	return err
}

// Zero makes a range zero where the device does that by itself. Ranges are those of
// whole blocks.
func (d *blockDisk) Zero(at, n int64) error {
	err := unix.Fallocate(int(d.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return errors.ErrUnsupported
	}
	return d.explain(err)
}

// Flush begins to write out a range, and waits for what was begun before it.
func (d *blockDisk) Flush(at, n int64) error {
	fd := int(d.file.Fd())
	err := unix.SyncFileRange(fd, at, n, unix.SYNC_FILE_RANGE_WRITE)
	if before := max(at-n, 0); err == nil && before < at {
		err = unix.SyncFileRange(fd, before, at-before, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		_ = unix.Fadvise(fd, before, at-before, unix.FADV_DONTNEED) // the memory is for others
	}
	return d.explain(err)
}

func (d *blockDisk) Sync() error { return d.explain(d.file.Sync()) }

// Drop empties the kernel's cache of the device. Who may not do that has it emptied
// as far as nobody else uses it.
func (d *blockDisk) Drop() error {
	_, err := unix.IoctlRetInt(int(d.file.Fd()), unix.BLKFLSBUF)
	d.dropped = err == nil
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.ENOTTY) {
		err = unix.Fadvise(int(d.file.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return d.explain(err)
}

// ReadAt reads past the cache, or after it was emptied where the device does not let
// it. Where neither can be, what is read says nothing about the device.
func (d *blockDisk) ReadAt(p []byte, at int64) (int, error) {
	if !d.direct {
		if !d.dropped {
			return 0, refuse(d.info.Path, entry.ErrInvalid, "cannot be read past the cache")
		}
		n, err := d.file.ReadAt(p, at)
		return n, d.explain(err)
	}
	n, err := d.readDirect(p, at)
	if errors.Is(err, unix.EINVAL) { // the device lets nobody, or not in blocks of this size
		d.direct = false
		return d.ReadAt(p, at)
	}
	return n, d.explain(err)
}

func (d *blockDisk) readDirect(p []byte, at int64) (read int, err error) {
	if d.past == nil {
		path := fmt.Sprintf("/proc/self/fd/%d", d.file.Fd()) // the same device, whatever the path leads to
		if d.past, err = os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0); err != nil {
			d.past = nil
			return 0, err
		}
		if d.buffer, err = unix.Mmap(-1, 0, directSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
			return 0, err
		}
	}
	for read < len(p) {
		start := (at + int64(read)) / directBlock * directBlock
		skip := int(at + int64(read) - start)
		want := (skip + len(p) - read + directBlock - 1) / directBlock * directBlock
		n, err := d.past.ReadAt(d.buffer[:min(want, directSize)], start)
		if n <= skip {
			return read, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		read += copy(p[read:], d.buffer[skip:n])
	}
	return read, nil
}

// Reread has the kernel read the partition table again.
func (d *blockDisk) Reread() error {
	if d.info.Partition {
		return nil
	}
	_, err := unix.IoctlRetInt(int(d.file.Fd()), unix.BLKRRPART)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) { // the device has no partitions
		return nil
	}
	return err
}

func (d *blockDisk) Close() error {
	if d.past != nil {
		_ = d.past.Close()
	}
	if d.buffer != nil {
		_ = unix.Munmap(d.buffer)
	}
	return d.file.Close()
}
