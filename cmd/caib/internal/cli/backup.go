package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// The verbs take as long as they take, as pullVerb does.
const (
	backupVerb  = "backup"
	restoreVerb = "restore"
)

type backupOptions struct {
	*copyOptions
	backup catalog.BackupOptions
}

func newBackup(a *app) *cobra.Command {
	o := &backupOptions{copyOptions: &copyOptions{app: a}}
	command := &cobra.Command{
		Use:        backupVerb + " SRC FILE",
		SuggestFor: []string{"save", "export", "archive", "dump"},
		Short:      "Keep a catalog with its images and signatures in a file",
		Long: `Keep a catalog, with its history, signatures and images, in one file: a .tar or
.tar.zst. SRC is REGISTRY/REPOSITORY or oci:PATH; - for FILE is standard output,
as a tar.

The file is an OCI image layout: skopeo and podman read its images as
oci-archive:FILE:TAG, oras with --oci-layout, from a .tar.zst once zstd -d has
made a .tar of it. Nothing else is written on the way, and the file has its name
once it is whole. What it holds, and a hash of everything, come last, so that a
file that was cut or altered is noticed: ` + "`caib catalog restore`" + ` reads all of it
before it writes anything.

With --since OLD, the file of an earlier backup of SRC, only what came since is
kept: an increment. It is restored after OLD, onto the same catalog, and may be
the OLD of the next one.

Under a trust policy, names whose newest revision it refuses are kept back whole
and named; the file holds all others. Images that no policy vouches for are read
as ` + "`caib catalog copy`" + ` reads them: without your login, unless --read-from
says that they are meant.`,
		Example: `  caib catalog backup registry.example.com/team/catalog catalog.tar.zst
  caib catalog backup oci:catalog /media/usb/catalog.tar --policy policy.yaml
  caib catalog backup registry.example.com/team/catalog catalog.tar --no-images --force
  caib catalog backup registry.example.com/team/catalog monday.tar.zst --since sunday.tar.zst`,
		Args: arguments("SRC", "FILE"),
	}
	flags := command.Flags()
	flags.BoolVar(&o.backup.NoImages, "no-images", false, "the catalog alone")
	readFromFlag(flags, &o.backup.ReadFrom)
	flags.StringVar(&o.backup.Since, "since", "", "only what is not in the backup in this file")
	flags.BoolVar(&o.backup.Force, "force", false, "replace a file that is there")
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *backupOptions) run(ctx context.Context, args []string) error {
	if err := o.withoutServer(); err != nil {
		return err
	}
	if args[1] == "-" {
		if o.system.OutTerminal {
			return fmt.Errorf("%w: -: an archive is nothing for a terminal: send it to a command or a file", entry.ErrInvalid)
		}
		o.backup.Out = raw(o.system.Out)
		o.system.Out, o.system.OutTerminal = o.system.Err, o.system.ErrTerminal
	}
	from, err := o.openCopied(ctx, args[0])
	if err != nil {
		return fmt.Errorf("SRC: %w", err)
	}
	bar := o.newCopyBar()
	o.backup.Progress = bar.update
	result, err := from.Backup(ctx, args[1], o.backup)
	bar.clear()
	if errors.Is(err, entry.ErrConflict) && result.Names == 0 {
		return withHint(err, "give another FILE, or --force to replace what is there")
	}
	if printed := o.printCopied(&result, err); printed != nil {
		return errors.Join(err, printed)
	}
	if errors.Is(err, entry.ErrUntrusted) {
		return copyHint(&result, err, "put into the file")
	}
	return err
}

func newRestore(a *app) *cobra.Command {
	o := &copyOptions{app: a}
	command := &cobra.Command{
		Use:        restoreVerb + " FILE DST",
		SuggestFor: []string{"import", "load"},
		Short:      "Copy what a backup holds into a catalog",
		Long: `Copy what a file of ` + "`caib catalog backup`" + ` holds into a catalog: history,
signatures and images. DST is REGISTRY/REPOSITORY or oci:PATH. All of the file
is checked first: of one that was cut or altered nothing is used.

It is a copy, as ` + "`caib catalog copy`" + ` makes one: DST may be empty, or have gone
on since. Nothing newer is lost, nothing that was removed comes back, and the
same command again goes on where it was cut off. Images go to DST's registry,
below what DST is in, or where --map says; the registry that they were published
from is not asked.

An increment goes onto a catalog that has all of what it goes on from: restore
the first backup first, and then each increment in turn.

Under a trust policy, names whose newest revision its rules for DST refuse are
kept back whole and named; all others are restored.`,
		Example: `  caib catalog restore catalog.tar.zst registry.example.com/team/catalog
  caib catalog restore /media/usb/catalog.tar sealed.example.org/ex/catalog --policy policy.yaml
  caib catalog restore catalog.tar mirror.example.org/catalog --map registry.example.com/os=images.example.org/os
  caib catalog restore catalog.tar oci:catalog --dry-run`,
		Args: arguments("FILE", "DST"),
	}
	o.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.restore)
}

func (o *copyOptions) restore(ctx context.Context, args []string) error {
	if args[0] == "-" {
		return fmt.Errorf("%w: -: an archive is checked before it is used, and then read at random: store it in a file first", entry.ErrInvalid)
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	to, err := o.openCopied(ctx, args[1])
	if err != nil {
		return fmt.Errorf("DST: %w", err)
	}
	bar := o.newCopyBar()
	o.copy.Progress = bar.update
	result, err := to.Restore(ctx, args[0], o.copy)
	bar.clear()
	if errors.Is(err, entry.ErrMalformed) && result.Names == 0 {
		return withHint(err, "nothing was written; get the file again from where it was kept")
	}
	if errors.Is(err, entry.ErrConflict) && result.Names == 0 {
		return withHint(err, "nothing was written; restore the base first, the OLD of `caib catalog backup --since OLD`, and then %s", args[0])
	}
	if printed := o.printCopied(&result, err); printed != nil {
		return errors.Join(err, printed)
	}
	return copyHint(&result, err, "restored")
}
