package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type listOptions struct {
	*app
	trustFlags
	query          entry.Query
	since, asOf    string
	noHeaders      bool
	requireCatalog bool
	all            bool
	columns        []string
}

func newList(a *app) *cobra.Command {
	o := &listOptions{app: a}
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the live entries, newest first",
		Long: `List the live entries of the catalog, newest first. Filters combine: an entry is
shown if all of them match. If none is, stderr names the values that there are.
Times are given as a time, a date, or an age: 2026-03-01T12:00:00Z, 2026-03-01,
3d, 36h.

With --versions, a row is shown for each version and image of a name that was
published since the name was last removed. The registries of the images are not
asked whether they still have them: ` + "`caib catalog verify`" + ` asks.

Under a trust policy, or with --verified, only entries whose signatures hold are
shown; each other one that the filters could match is named on stderr, and so is
a removal that nobody signed, and a name whose newest signed state was taken
away.

A catalog that does not exist yet is an empty one, and stderr says which it is;
with --require-catalog, that there is none is an error; so is, through --server,
that one of the server's is missing.

On a terminal the table fits its width: columns that are empty everywhere are
left out, digests are shortened, and long cells are cut. With --columns, cells
are whole.

Through --server, SIGNED is the word of the server and says so: "verified
(server)". --verified, without a policy or a key, takes it.`,
		Example: `  caib catalog list
  caib catalog list --target rpi4 --architecture arm64 --latest
  caib catalog list --target rpi4 --target qemu --name 'autosd-*' --since 3d
  caib catalog list --tags nightly,qa --label team=platform -o wide
  caib catalog list --columns NAME,VERSION,DIGEST
  caib catalog list --versions --name autosd --sort version
  caib catalog list --as-of 2026-03-01 -o json
  caib catalog list --verified --key release.pub`,
		Args: arguments(),
	}
	o.register(command.Flags())
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUntrusted, exitUnreachable}, o.run)
}

func (o *listOptions) register(flags *pflag.FlagSet) {
	q := &o.query
	flags.StringVar(&q.Name, "name", "", "only these names: * stands for any characters ('autosd-*')")
	flags.StringVar(&q.Search, "search", "", "only entries with this text in name, description, labels or tags, in any case")
	flags.StringVar(&q.Architecture, "architecture", "", "only images for this architecture (amd64, arm64, x86_64, aarch64)")
	flags.StringVar(&q.Distro, "distro", "", "only this distribution")
	listFlag(flags, &q.Targets, "target", "only images for this board or machine; of several, separated by commas or repeated, for any of them")
	flags.StringVar(&q.Format, "format", "", "only images in this format, as the column FORMAT shows it (bootc, qcow2, ...)")
	flags.StringVar((*string)(&q.Phase), "phase", "", "only entries in this phase (all, Pending, Verifying, Available, Unavailable, Failed)")
	listFlag(flags, &q.Tags, "tags", "only entries with all of these tags; separated by commas, or repeated")
	flags.Var(pairs{&q.Labels}, "label", "only entries with this label; may be repeated")
	flags.StringVar(&o.since, "since", "", "only what was published then or later: a time, a date, or an age (3d)")
	flags.StringVar((*string)(&q.Sort), "sort", "created", "order: created (newest first), name, size (largest first), or version (1.9 before 1.10)")
	flags.BoolVar(&q.Versions, "versions", false, "every version of an entry since its last removal, not only the live one")
	flags.BoolVar(&q.Latest, "latest", false, "only the newest per distro, architecture and target, or per schedule")
	flags.IntVar(&q.Limit, "limit", 0, "at most this many entries; 0 is all")
	flags.StringVar(&o.asOf, "as-of", "", "the catalog as it was then: a time, a date, or an age (48h, 3d)")
	listFlag(flags, &o.columns, "columns", "the columns of the table, in this order, such as NAME,VERSION,DIGEST")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "a table without its first line")
	flags.BoolVar(&o.requireCatalog, "require-catalog", false, "fail if there is no catalog at all, instead of listing nothing")
	flags.BoolVar(&o.all, "all", false, "every entry in every phase, as without filters")
	flags.Lookup("all").Hidden = true // of the Build API's client; `caib help settings` names it
	o.trustFlags.register(flags)
}

func (o *listOptions) run(ctx context.Context, _ []string) error {
	asOf, err := o.moment("as-of", o.asOf)
	if err != nil {
		return err
	}
	if o.query.Since, err = o.moment("since", o.since); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	found := o.read(ctx, catalogs, asOf)
	var refused *refusedError
	if found.failed != nil && len(catalogs) == 1 && !errors.As(found.failed, &refused) {
		return found.failed
	}
	if len(found.absent) > 0 && o.requireCatalog {
		return o.noCatalog(found.absent[0])
	}
	if err := o.print(found.page); err != nil {
		return err
	}
	if err := o.remark(ctx, catalogs, asOf, found); err != nil {
		return err
	}
	return o.refusals(found.failed)
}

// noCatalog is the error of a list that requires a catalog where there is none.
func (o *listOptions) noCatalog(reference string) error {
	if o.settings.server != "" {
		return withHint(fmt.Errorf("a catalog of the server %s: %w", reference, entry.ErrNotFound), absentServerHint)
	}
	return withHint(fmt.Errorf("catalog %s: %w", reference, entry.ErrNotFound), absentHint)
}

// check refuses what no list can answer, and says what would be one.
func (o *listOptions) check() error {
	if phase := o.query.Phase; o.all && (phase != "" && phase != "all" || o.query.Latest || o.query.Limit > 0) {
		return fmt.Errorf("%w: --all: it is every entry, and --phase, --latest and --limit leave some out", entry.ErrInvalid)
	}
	if err := o.checkColumns(); err != nil {
		return err
	}
	err := o.query.Check()
	if err != nil && o.query.Name != "" && (entry.Query{Name: o.query.Name}).Check() != nil {
		return withHint(err, "names are in lower case; --search finds text within a name, in any case")
	}
	return err
}

// listed is what was found in some catalogs.
type listed struct {
	page   entry.Page
	absent []string // those where there is no catalog
	failed error
}

// read selects from the items of all catalogs. One that cannot be read, or has
// entries that the policy refuses, does not hide the others, and does not go unsaid
// either.
func (o *listOptions) read(ctx context.Context, catalogs []reader, asOf time.Time) (found listed) {
	query := o.query
	if len(catalogs) > 1 {
		query.Limit = 0 // that of all of them
	}
	var items []entry.Item
	for _, c := range catalogs {
		page, err := c.List(ctx, catalog.ListOptions{Query: query, AsOf: asOf})
		found.failed = errors.Join(found.failed, err, refused(c.Reference(), page.Refused))
		if page.Absent {
			found.absent = append(found.absent, c.Reference())
		}
		if len(catalogs) == 1 {
			found.page = page.Page
			return found
		}
		for _, item := range page.Items {
			item.Catalog = c.Reference()
			items = append(items, item)
		}
	}
	found.page = o.query.Select(items)
	return found
}

func (o *listOptions) print(page entry.Page) error {
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, page)
	case "name":
		for _, item := range page.Items {
			fmt.Fprintln(o.system.Out, item.Name)
		}
		return nil
	}
	if len(page.Items) == 0 {
		return nil
	}
	chosen, err := chosenColumns(o.columns)
	if err != nil {
		return err
	}
	return o.table(page.Items, o.settings.output == "wide", o.noHeaders, chosen...)
}

const (
	absentHint       = "check the spelling of --catalog; the first `caib catalog publish IMAGE` begins a catalog"
	absentServerHint = "nobody has begun a catalog that the server was started for: check its --catalog, which `SERVER/readyz` shows; the first `caib catalog publish IMAGE` begins it"
	publishFirst     = "hint: publish an image with `caib catalog publish REGISTRY/REPOSITORY:TAG`"
)

// remark says on stderr what the list itself cannot: that it is cut, or why it
// is empty.
func (o *listOptions) remark(ctx context.Context, catalogs []reader, asOf time.Time, found listed) error {
	page := found.page
	if len(page.Items) > 0 {
		if len(page.Items) < page.Total {
			o.note("%d of %d", len(page.Items), page.Total)
		}
		return nil
	}
	if len(found.absent) == len(catalogs) {
		o.note("the catalog %s is empty\nit does not exist yet\n%s", o.settings.reference(), publishFirst)
		return nil
	}
	if o.settings.quiet {
		return nil
	}
	items, err := o.everything(ctx, catalogs, asOf)
	switch {
	case err != nil:
		return err
	case len(items) > 0:
		for _, why := range o.misses(items) {
			o.note("%s", why)
		}
	case found.failed == nil && o.asOf != "":
		o.note("the catalog had no entries then")
	case found.failed == nil:
		o.note("the catalog %s is empty\n%s", o.settings.reference(), publishFirst)
	}
	return nil
}
