package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/blockdevice"
)

// Device describes a block device that is about to be written to.
type Device = blockdevice.Info

// DeviceError says why a device is not written to, or that it does not hold what was
// written to it.
type DeviceError = blockdevice.Error

// isDeviceError reports whether an error is one of a device, and says nothing of what
// is written to it.
func isDeviceError(err error) bool {
	_, found := errors.AsType[*DeviceError](err)
	return found
}

// isDevice reports whether a file is a block device.
func isDevice(info fs.FileInfo) bool {
	return info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0
}

// belongsToDevices reports whether a path is one where a file would be in memory,
// and take the name of a device that is not there.
func belongsToDevices(path string) bool {
	full, err := filepath.Abs(path)
	return err == nil && runtime.GOOS == "linux" && strings.HasPrefix(full, "/dev/") && !strings.HasPrefix(full, "/dev/shm/")
}

// rawFormats are those of files that a device can hold as they are.
var rawFormats = map[string]bool{"": true, "raw": true, "img": true, "iso": true}

// intoDevice has the one file written to a device, and reports what is in the way.
func (p *puller) intoDevice(path string) error {
	if err := p.single("a device"); err != nil {
		return err
	}
	job := p.jobs[0]
	name := p.describe(&job.artifact)
	switch {
	case p.options.KeepCompressed && job.artifact.Compression != "":
		return &DeviceError{Path: path, Err: fmt.Errorf("%w: %s is compressed, and nothing boots from what is", entry.ErrInvalid, name)}
	case p.options.KeepCompressed && isTar(job):
		return &DeviceError{Path: path, Err: fmt.Errorf("%w: %s is a tar, and nothing boots from one", entry.ErrInvalid, name)}
	case !rawFormats[job.artifact.Format] && !(isSparse(job) && p.unpacks(job)) && !p.options.Force:
		return &DeviceError{Path: path, Force: true, Err: fmt.Errorf("%w: %s has the format %s, which is for files: nothing boots from a device that holds it", entry.ErrInvalid, name, job.artifact.Format)}
	}
	device, err := blockdevice.Inspect(path)
	if err != nil {
		return err
	}
	job.path, job.device = path, device
	return device.Check(p.contentSize(job), p.options.Force)
}

// contentSize is how long a file is as it is written; 0 is not known before.
func (p *puller) contentSize(job *pullJob) int64 {
	switch {
	case job.bmap != nil:
		return job.bmap.Size()
	case !p.unpacks(job):
		return job.descriptor.Size
	case isSparse(job), isTar(job):
		return 0
	}
	return job.artifact.DecompressedSize
}

// writeDevice writes a file to a device.
func (p *puller) writeDevice(ctx context.Context, job *pullJob, pulled *PulledFile) error {
	if err := job.device.Check(p.contentSize(job), p.options.Force); err != nil {
		return err // a block map knows of sizes that the entry does not
	}
	switch {
	case p.options.Confirm != nil:
		if err := p.options.Confirm(ctx, *job.device); err != nil {
			return err
		}
	case !p.options.Force:
		return &DeviceError{Path: job.path, Force: true, Err: fmt.Errorf("%w: nobody said that all on %s may be lost", entry.ErrInvalid, job.path)}
	}
	disk, err := blockdevice.Open(job.device)
	if err != nil {
		return err
	}
	return p.writeDisk(ctx, job, disk, pulled)
}

// writeDisk writes a file to a device that is open, and closes it.
func (p *puller) writeDisk(ctx context.Context, job *pullJob, disk blockdevice.Disk, pulled *PulledFile) (err error) {
	options := blockdevice.Options{ReadBack: p.options.ReadBack}
	if p.options.Progress != nil {
		title := "read back " + cmp.Or(job.artifact.Title, job.path)
		options.Progress = func(read, size int64) {
			p.options.Progress(PullProgress{Title: title, Bytes: read, Size: size})
		}
	}
	w := blockdevice.NewWriter(disk, options)
	defer func() { pulled.LeftBytes = w.Left() }()
	pulled.Bytes, err = p.streamCached(ctx, job, w, w.Commit, pulled)
	reread, closing := w.Close()
	if err = cmp.Or(err, closing); err != nil {
		if w.Begun() {
			pulled.Unfinished = job.path
		}
		return job.fromPlace(err)
	}
	if reread != nil {
		pulled.Warnings = append(pulled.Warnings, fmt.Sprintf("the kernel did not read the partition table of %s again (%v): take the device out and in again", job.path, reread))
	}
	pulled.File, pulled.ReadBack = job.path, p.options.ReadBack
	return nil
}
