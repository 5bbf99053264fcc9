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
	case errors.Is(err, entry.ErrMalformed):
		return withHint(err, "the device is broken, or smaller than it says, or too small: take another one")
	}
	return withHint(err, "`lsblk` shows the devices there are")
}
