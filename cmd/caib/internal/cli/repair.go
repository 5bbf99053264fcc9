package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// repairVerb takes as long as it takes: it reads all of a catalog.
const repairVerb = "repair"

type repairOptions struct {
	*app
	examine catalog.ExamineOptions
	apply   bool
}

func newRepair(a *app) *cobra.Command {
	o := &repairOptions{app: a}
	command := &cobra.Command{
		Use:        repairVerb + " [CATALOG]",
		SuggestFor: []string{"fix", "mend", "check", "fsck", "heal"},
		Short:      "Find what is damaged or lost in a catalog, and mend it",
		Long: `Read all of a catalog (CATALOG, or --catalog) and print what is not whole: a
revision that is listed and gone, altered or incomplete, or that this reader
knows and the registry has lost; a snapshot that cannot be read; a signature
that a snapshot carries and the registry lost; of live entries, an image that
is gone, does not know its entry or has no tag that keeps it; a list of
referrers with entries that are gone; an image that is live under two names.

Without --apply nothing is written: MEND says from what each finding can be
mended, and what to do about the others. With --apply, what is proved right is
written again: bytes whose digest is the one in their tag, from snapshots and
caches; under a trust policy only what that verifies. A revision comes back
under its own tag and date, so that nothing newer is hidden and nothing that was
removed comes back. Nothing is deleted. The same command again writes nothing.

--from names backups and other catalogs that may have what is lost. With
--from-images a catalog that is lost is rebuilt from what is attached to its
images: revisions that say that they were published in this catalog, of the
image that they are attached to, and that the policy verifies.

What publications do by --no-attach and --no-keep is no finding with the same
flags.`,
		Example: `  caib catalog repair registry.example.com/team/catalog
  caib catalog repair registry.example.com/team/catalog --policy policy.yaml --apply
  caib catalog repair oci:/srv/catalog --from backup.tar.zst -o json
  caib catalog repair registry.example.com/team/catalog --policy policy.yaml \
      --from-images registry.example.com/os/autosd --apply`,
		Args: arguments("[CATALOG]"),
	}
	flags := command.Flags()
	flags.BoolVar(&o.apply, "apply", false, "mend what can be mended")
	flags.StringArrayVar(&o.examine.From, "from", nil, "a backup file, or another catalog, that has what is lost; may be repeated")
	flags.StringArrayVar(&o.examine.FromImages, "from-images", nil, "a repository whose images know what is lost; may be repeated")
	flags.BoolVar(&o.examine.AllowUnsigned, "allow-unsigned", false, "with --from-images: believe what is attached to images without a policy")
	flags.BoolVar(&o.examine.NoAttach, "no-attach", false, "images need not know their entries")
	flags.BoolVar(&o.examine.NoKeep, "no-keep", false, "images need no tag that keeps them")
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *repairOptions) run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		o.settings.catalogs, o.settings.origins["catalog"] = args, origin{kind: "flag", place: "CATALOG", label: "CATALOG"}
	}
	if o.examine.AllowUnsigned && len(o.examine.FromImages) == 0 {
		return fmt.Errorf("%w: --allow-unsigned is for --from-images", entry.ErrInvalid)
	}
	c, err := o.openOne(ctx)
	if err != nil {
		return err
	}
	if o.apply && len(o.examine.FromImages) > 0 && o.settings.policy == "" && !o.examine.AllowUnsigned {
		return withHint(fmt.Errorf("%w: --from-images with --apply needs a policy: whoever may write beside an image may have written what is attached to it", entry.ErrInvalid),
			"give --policy FILE, or --allow-unsigned to believe it all the same")
	}
	if len(o.examine.FromImages) > 0 {
		o.note("entries that were added, edits, and removals that were not attached are beside no image: they do not come back")
	}
	found, err := c.Examine(ctx, o.examine)
	if err != nil {
		return err
	}
	if o.apply {
		err = found.Repair(ctx)
	}
	return o.repairHint(found, errors.Join(found.Err(), err, o.printFindings(found)))
}

// repairHint says what comes next.
func (o *repairOptions) repairHint(found *catalog.Examination, err error) error {
	if err == nil {
		o.done("%s is whole", found.Catalog)
		return nil
	}
	for _, f := range found.Findings {
		if f.From != "" && !o.apply {
			return withHint(err, "the same command with --apply mends what can be mended")
		}
	}
	return withHint(err, "what is left says under MEND what to do about it; `caib help recovery` tells of backups and copies")
}

func (o *repairOptions) printFindings(found *catalog.Examination) error {
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, found)
	case "name":
		for _, f := range found.Findings {
			fmt.Fprintln(o.system.Out, f.Where)
		}
		return nil
	}
	if len(found.Findings) == 0 {
		return nil
	}
	rows := make([][]string, len(found.Findings))
	for i, f := range found.Findings {
		rows[i] = []string{f.What, f.Where, f.State, mendCell(f)}
		if o.settings.output == "wide" {
			rows[i] = append(rows[i], f.Reason)
		}
	}
	header := []string{"WHAT", "WHERE", "STATE", "MEND"}
	if o.settings.output == "wide" {
		header = append(header, "REASON")
	}
	return o.rows(header, rows)
}

// mendCell says what was done about a finding, or can be.
func mendCell(f catalog.Finding) string {
	switch {
	case f.Mended:
		return "mended from " + f.From
	case f.Failed != "":
		return "failed: " + f.Failed
	case f.From != "":
		return "from " + f.From
	case f.Advice != "":
		return f.Advice
	case f.State == "unknown":
		return "try again: " + f.Reason
	}
	return "no"
}
