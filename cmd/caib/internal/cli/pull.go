package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// pullVerb is a verb that takes as long as it takes.
const pullVerb = "pull"

type pullOptions struct {
	*app
	from reader // that has the entry
	trustFlags
	pull catalog.PullOptions
	bmap string
}

func newPull(a *app) *cobra.Command {
	o := &pullOptions{app: a, bmap: "auto"}
	command := &cobra.Command{
		Use:        pullVerb + " NAME [DEST]",
		SuggestFor: []string{"fetch", "download", "flash"},
		Short:      "Fetch the files of an entry, verified to the last byte",
		Long: `Fetch the files of an entry's disk image: what was published, by digest,
whatever its tag names now. The trust policy decides first: of an entry that it
refuses nothing is fetched. The digest is taken while the bytes arrive, and a
file gets its name once all of it is there, right, and on the disk.

DEST is a directory that exists (the current one), for all files under their
titles; the path of one file; a block device; or - for standard output, where
only the exit status tells whether the bytes were right. Compressed files (gzip,
xz, zstd, lz4) are decompressed, Android's sparse images expanded, and both lose
the suffix; holes stay holes. Of a tar, by its media type, a directory gets the
files; another DEST gets the one file in it. A tar of another type stays a tar,
without its compression: nothing but its name says that it is one. What is no
regular file, and a name that leads elsewhere, are refused (exit 9).
--keep-compressed leaves all as it is stored.

A container, of an entry without disk images or with --platform, becomes an OCI
image layout: a directory of the entry's name, the directory DEST, or a tar
(oci-archive) where DEST ends with .tar or is -. One in Docker's own format
keeps it, and its digest: skopeo finds it as oci:DIR or oci-archive:FILE,
without a tag.

What does not fit is refused before anything is fetched, as far as sizes are
known (an image with holes may need less than it has: its block map says so),
with exit status 9, as is what fills the disk: what was fetched stays.

A transfer that breaks goes on where it broke. What an interrupted run has
fetched stays in DEST.part, and the next run goes on from there; for a device
and for - it needs --cache DIR. Without --timeout, a transfer takes as long as
it takes, but less than 1 KiB in a minute counts as broken: another place is
asked where there is one, and ten times in a row is the end (exit 8).

Mirrors are asked first (` + "`caib help registries`" + `), and the place that had a
file is told. With --wait, an entry, or a version of it, that is not in the
catalog yet is waited for: 10 minutes, or as long as --wait=DURATION says.

With --server, the server's policy decides, and what it refuses is not fetched.
The bytes come from the registry, by digest.

` + deviceHelp,
		Example: `  caib catalog pull autosd
  caib catalog pull autosd disk.raw --version 1.4
  caib catalog pull autosd boards/ --partition boot --force
  caib catalog pull autosd - --artifact disk.raw.xz
  caib catalog pull autosd autosd.tar --platform linux/arm64
  caib catalog pull autosd --version 1.5 --wait=30m
  caib catalog pull autosd --key release.pub -o json
  caib catalog pull autosd /dev/sdb --read-back`,
		Args:              pullArguments,
		ValidArgsFunction: a.completePull,
	}
	o.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *pullOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.pull.Version, "version", "", "the newest publication with this version")
	flags.StringVar(&o.pull.Artifact, "artifact", "", "the file with this title alone")
	flags.StringVar(&o.pull.Partition, "partition", "", "the file of this partition alone")
	flags.StringVar(&o.pull.Platform, "platform", "", "the container for this platform: OS/ARCH, OS/ARCH/VARIANT or ARCH")
	flags.BoolVar(&o.pull.KeepCompressed, "keep-compressed", false, "write files as they are stored")
	flags.Var((*byteSize)(&o.pull.MaxSize), "max-size", "the most that a file may have as it is written, such as 16GiB; what the entry says of it, and 64GiB where it says nothing")
	flags.BoolVar(&o.pull.Force, "force", false, "replace files that exist; write to a device without a question, and to a partition")
	flags.Var(&choice{&o.bmap, []string{"auto", "none"}}, "bmap", "auto checks against the block map that the entry has of a file, and skips on a device what holds nothing; none ignores it")
	flags.StringVar(&o.pull.CacheDir, "cache", "", "a directory for what an interrupted run has fetched for a device or -, which the next run goes on from")
	flags.BoolVar(&o.pull.ReadBack, "read-back", false, "read what was written to a device, and compare")
	o.registerWait(flags, "wait for a name, or a version, that is not in the catalog yet")
	o.trustFlags.register(flags)
}

// completePull completes a name, and then a path.
func (a *app) completePull(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeNames(command, args, typed)
}

// pullItem pulls an item from its catalog, which knows of copies, or where a server
// answered for that, from where the item says.
func (o *pullOptions) pullItem(ctx context.Context, item *entry.Item) (catalog.PullResult, error) {
	if c, ok := o.from.(*catalog.Catalog); ok {
		return c.PullItem(ctx, item, o.pull)
	}
	client, err := o.client()
	if err != nil {
		return catalog.PullResult{}, err
	}
	return catalog.PullItem(ctx, client, item, o.pull)
}

func (o *pullOptions) run(ctx context.Context, args []string) error {
	if err := o.direct(args); err != nil {
		return err
	}
	o.pull.NoBmap = o.bmap == "none"
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	item, err := o.awaited(ctx, catalogs, args[0])
	if err != nil {
		return trustHint(namesHint(err))
	}
	if err := o.reachable(&item); err != nil {
		return err
	}
	o.pull.Confirm = o.confirmDevice
	bar := o.newTransferBar()
	o.pull.Progress = bar.update
	result, err := o.pullItem(ctx, &item)
	bar.clear()
	for _, file := range result.Files {
		if file.Unfinished != "" {
			o.note("%s holds no image now: its first MiB is zero, as far as it could be written to, so that nothing boots from a part of one", file.Unfinished)
		}
		if file.LeftBytes > 0 && err == nil {
			o.note("%s of %s hold what they held before: %q says that nothing is there (--bmap none writes zeros)", size(file.LeftBytes), file.File, file.Bmap)
		}
		for _, warning := range file.Warnings {
			o.warn(warning)
		}
		if file.Part != "" {
			o.note("%s has the first bytes of %q: the same command goes on from there", file.Part, file.Title)
		}
	}
	if err != nil {
		return o.pullHint(err, &item)
	}
	if result.ReferenceNow != "" {
		o.note("%s names something else now, %s: what was published as %q was pulled", item.RegistryURL, result.ReferenceNow, item.Name)
	}
	return o.printPulled(result, fromElsewhere(&item, result.Files))
}

// direct says where to write to. What - stands for takes nothing but the file: the
// report goes to standard error.
func (o *pullOptions) direct(args []string) error {
	if len(args) < 2 || args[1] == "-" && o.pull.ReadBack {
		return o.directDevice()
	}
	if args[1] == "" {
		return fmt.Errorf("%w: DEST: want a directory, a file, or - for standard output", entry.ErrInvalid)
	}
	if args[1] != "-" {
		o.pull.Dest = args[1]
		return o.directDevice()
	}
	if o.system.OutTerminal {
		return withHint(fmt.Errorf("%w: DEST: an image is nothing for a terminal", entry.ErrInvalid), "redirect standard output to a file or a program, or name a file")
	}
	o.pull.Out = raw(o.system.Out)
	o.system.Out, o.system.OutTerminal = o.system.Err, o.system.ErrTerminal
	return nil
}

// reachable reports that a server's item is in a directory, which is one of the
// server's machine.
func (o *pullOptions) reachable(item *entry.Item) error {
	inDirectory := strings.HasPrefix(item.RegistryURL, "oci:") ||
		slices.ContainsFunc(item.ArtifactRefs, func(a entry.ArtifactRef) bool { return strings.HasPrefix(a.URL, "oci:") })
	if o.settings.server == "" || !inDirectory {
		return nil
	}
	return fmt.Errorf("%w: entry %q is in a directory of the server's machine: %s", entry.ErrInvalid, item.Name, item.RegistryURL)
}

// pullHint says what helps against an error of a pull.
func (o *pullOptions) pullHint(err error, item *entry.Item) error {
	var answer *registry.Error
	var device *catalog.DeviceError
	switch {
	case errors.As(err, &device):
		return deviceHint(err, device)
	case errors.As(err, &answer):
		return err
	case errors.Is(err, entry.ErrNoRoom):
		return withHint(err, "make room, and the same command goes on from what is there; or give another DEST")
	case errors.Is(err, fs.ErrExist) && errors.Is(err, entry.ErrConflict):
		return withHint(err, "give another DEST, or --force to replace what is there")
	case errors.Is(err, entry.ErrConflict):
		return withHint(err, "give another DEST")
	case errors.Is(err, entry.ErrUnauthorized) && errors.As(err, new(*fs.PathError)):
		return withHint(err, "give a DEST that may be written to")
	case errors.Is(err, catalog.ErrSeveral):
		return withHint(err, "give a directory as DEST for its files, or --keep-compressed for the tar")
	case errors.Is(err, catalog.ErrBmap):
		return withHint(err, "--bmap none ignores the block map")
	case errors.Is(err, entry.ErrMalformed):
		return withHint(err, "`caib catalog verify %s` checks the entry; --keep-compressed writes a file as it is stored", item.Name)
	case errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrInvalid):
		return withHint(err, "`caib catalog get %s -o table` shows its files: choose with --artifact or --partition", item.Name)
	}
	return err
}

// shownPull is a result with who says that the signatures hold.
type shownPull struct {
	catalog.PullResult
	VerdictBy string `json:"verdictBy,omitempty"` // the server; "" for this command itself
}

func (o *pullOptions) printPulled(result catalog.PullResult, elsewhere bool) error {
	switch o.settings.output {
	case "json", "yaml":
		shown := shownPull{PullResult: result}
		if address, err := url.Parse(o.settings.server); err == nil && result.Verdict != "" {
			shown.VerdictBy = address.Host
		}
		return o.document(o.settings.output, shown)
	case "name":
		for _, file := range withMembers(result.Files) {
			fmt.Fprintln(o.system.Out, shownPath(file.File))
		}
		return nil
	}
	wide := o.settings.output == "wide"
	header := []string{"FILE", "SIZE", "DIGEST", "SIGNED"}
	if wide {
		header = append(header, "RESUMED", "SECONDS")
	}
	if wide || elsewhere {
		header = append(header, "PLACE")
	}
	var rows [][]string
	for _, file := range withMembers(result.Files) {
		row := []string{shownPath(file.File), size(file.Bytes), file.Digest.String(), string(o.signedCell(result.Verdict))}
		if wide {
			row = append(row, size(file.Resumed), fmt.Sprintf("%.1f", file.Seconds))
		}
		if wide || elsewhere {
			row = append(row, file.Place)
		}
		rows = append(rows, row)
	}
	return o.rows(header, rows)
}

// withMembers has the files of a tar in the place of the directory that they are in.
func withMembers(files []catalog.PulledFile) (all []catalog.PulledFile) {
	for _, file := range files {
		for _, member := range file.Members {
			one := file
			one.File, one.Bytes = member.File, member.Bytes
			all = append(all, one)
		}
		if len(file.Members) == 0 {
			all = append(all, file)
		}
	}
	return all
}

func shownPath(path string) string {
	if path == "" {
		return "-"
	}
	return path
}
