package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// deviceHelp is what the help of pull says of devices and block maps.
const deviceHelp = `A block device (on Linux) loses all that is on it: what that is, is shown, and
the command asks for the device's name; without a terminal it needs --force, and
so does a partition. One that is in use (mounted, swap space, a part of another
device), holds the running system, or is too small is refused in any case. Its
first MiB is zero until the rest is on it and right, and so is the last MiB of a
whole disk at first, where a copy of the old partition table may be: nothing
boots from a part of an image. --read-back reads what was written from the
device, past the cache, and compares. What breaks off begins anew the next time.

Where the entry has the block map of a file (bmaptool's, as disk.raw.bmap beside
disk.raw.gz), its ranges are checked by their digests, and all else for being
zero. On a device, what the map says holds nothing is not written: it is zero if
the device makes zeros by itself, and holds what it held before if not, which is
said. --bmap none writes zeros there.`

var errNotWritten = errors.New("not written: the answer was not the device's name")

// directDevice reports what a device as DEST needs, and --read-back.
func (o *pullOptions) directDevice() error {
	info, err := os.Stat(o.pull.Dest)
	device := err == nil && info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0
	switch {
	case device && !o.pull.Force && !o.system.InTerminal:
		return withHint(fmt.Errorf("%w: pull to %s: nobody is here to ask", entry.ErrInvalid, o.pull.Dest), "give --force to overwrite it without a question")
	case !device && o.pull.ReadBack:
		return fmt.Errorf("%w: --read-back: DEST is no device", entry.ErrInvalid)
	}
	return nil
}

// confirmDevice shows what is lost, and asks for the device's name: a yes is given
// too easily.
func (o *pullOptions) confirmDevice(ctx context.Context, device catalog.Device) error {
	show := o.note
	if !o.pull.Force { // what somebody is asked about is shown even to those who want quiet
		show = func(format string, args ...any) { fmt.Fprintf(o.system.Err, format+"\n", args...) }
	}
	show("%s: %s, %s", device.Path, cmp.Or(harmless(device.Model), "unknown model"), size(device.SizeBytes))
	for _, content := range device.Content {
		what := cmp.Or(content.Type, "unknown content")
		if content.Label != "" {
			what += fmt.Sprintf(" %q", harmless(content.Label))
		}
		show("  %s: %s, %s", content.Name, size(content.SizeBytes), what)
	}
	if o.pull.Force {
		return nil
	}
	answer, err := o.ask(ctx, fmt.Sprintf("All of it will be lost. Type %s to overwrite it:", device.Name))
	if err != nil {
		return err
	}
	if strings.TrimPrefix(answer, "/dev/") != device.Name {
		return errNotWritten
	}
	return nil
}

// deviceHint says what helps against what is wrong with a device.
func deviceHint(err error, device *catalog.DeviceError) error {
	switch {
	case device.Force:
		return withHint(err, "give --force to write to it all the same")
	case errors.Is(err, entry.ErrConflict):
		return withHint(err, "`lsblk %s` shows what uses it: unmount it, or name another device", device.Path)
	case errors.Is(err, entry.ErrUnauthorized):
		return withHint(err, "devices are written to by root, or by members of the group that `ls -l %s` shows", device.Path)
	case errors.Is(err, entry.ErrNoRoom):
		return withHint(err, "`lsblk` shows larger devices, if there are any")
	case errors.Is(err, entry.ErrMalformed):
		return withHint(err, "the device is broken, or or smaller than it says: take another one")
	}
	return withHint(err, "`lsblk` shows the devices there are")
}
