package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type listOptions struct {
	*app
	trustFlags
	query entry.Query
	sort  string
	asOf  string
}

func newList(a *app) *cobra.Command {
	o := &listOptions{app: a}
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the live entries, newest first",
		Long: `List the live entries of the catalog, newest first. Filters combine: an entry is
shown if all of them match.

Under a trust policy, or with --verified, only entries whose signatures hold are
shown; each other one is named on stderr, and so is a removal that nobody
signed, and a name whose newest signed state was taken away.

Through --server, SIGNED is the word of the server and says so: "verified
(server)". --verified, without a policy or a key, takes it.`,
		Example: `  caib catalog list
  caib catalog list --target rpi4 --architecture arm64 --latest
  caib catalog list --tags nightly,qa --label team=platform -o wide
  caib catalog list --as-of 2026-03-01 -o json
  caib catalog list --verified --key release.pub`,
		Args: arguments(),
	}
	flags := command.Flags()
	flags.StringVar(&o.query.Architecture, "architecture", "", "only images for this architecture (amd64, arm64, x86_64, aarch64)")
	flags.StringVar(&o.query.Distro, "distro", "", "only this distribution")
	flags.StringVar(&o.query.Target, "target", "", "only images for this board or machine")
	flags.StringVar((*string)(&o.query.Phase), "phase", "", "only entries in this phase (Available, Unavailable, Failed)")
	listFlag(flags, &o.query.Tags, "tags", "only entries with all of these tags; separated by commas, or repeated")
	flags.Var(pairs{&o.query.Labels}, "label", "only entries with this label; may be repeated")
	flags.StringVar(&o.sort, "sort", "created", "order: created (newest first), name, or size (largest first)")
	flags.BoolVar(&o.query.Latest, "latest", false, "only the newest per distro, architecture and target, or per schedule")
	flags.IntVar(&o.query.Limit, "limit", 0, "at most this many entries; 0 is all")
	flags.StringVar(&o.asOf, "as-of", "", "the catalog as it was then: a time, a date, or how long ago (48h)")
	o.trustFlags.register(flags)
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitUntrusted, exitUnreachable}, o.run)
}

func (o *listOptions) run(ctx context.Context, _ []string) error {
	asOf, err := parseTime(o.asOf, o.system.Now())
	if err != nil {
		return err
	}
	o.query.Sort = entry.Sort(o.sort)
	if err := o.query.Check(); err != nil {
		return err
	}
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	page, all, failed := o.read(ctx, catalogs, asOf)
	var refused *refusedError
	if failed != nil && len(catalogs) == 1 && !errors.As(failed, &refused) {
		return failed
	}
	if err := o.print(page); err != nil {
		return err
	}
	o.remark(page, all, failed)
	return o.refusals(failed)
}

// read selects from the items of all catalogs, and says how many there are. One
// that cannot be read, or has entries that the policy refuses, does not hide the
// others, and does not go unsaid either.
func (o *listOptions) read(ctx context.Context, catalogs []reader, asOf time.Time) (page entry.Page, all int, failed error) {
	if server, ok := catalogs[0].(*remote); ok {
		return o.ask(ctx, server, asOf)
	}
	var items []entry.Item
	for _, c := range catalogs {
		page, err := c.List(ctx, catalog.ListOptions{AsOf: asOf})
		failed = errors.Join(failed, err, refused(c.Reference(), page.Refused))
		for _, item := range page.Items {
			if len(catalogs) > 1 {
				item.Catalog = c.Reference()
			}
			items = append(items, item)
		}
	}
	return o.query.Select(items), len(items), failed
}

// ask has a server select.
func (o *listOptions) ask(ctx context.Context, server *remote, asOf time.Time) (page entry.Page, all int, failed error) {
	found, err := server.List(ctx, catalog.ListOptions{Query: o.query, AsOf: asOf})
	err = errors.Join(err, refused(server.Reference(), found.Refused))
	if err != nil || found.Total > 0 {
		return found.Page, found.Total, err
	}
	whole, err := server.List(ctx, catalog.ListOptions{Query: entry.Query{Limit: 1}, AsOf: asOf})
	return found.Page, whole.Total, err
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
	return o.table(page.Items, o.settings.output == "wide")
}

// remark says on stderr what the list itself cannot: that it is cut, or why it
// is empty.
func (o *listOptions) remark(page entry.Page, all int, failed error) {
	switch {
	case len(page.Items) < page.Total:
		o.note("%d of %d", len(page.Items), page.Total)
	case len(page.Items) == 0 && all > 0:
		o.note("no entry matches (of %d)", all)
	case len(page.Items) == 0 && failed == nil && o.asOf != "":
		o.note("the catalog had no entries then")
	case len(page.Items) == 0 && failed == nil:
		o.note("the catalog %s is empty\nhint: publish an image with `caib catalog publish REGISTRY/REPOSITORY:TAG`", o.settings.reference())
	}
}
