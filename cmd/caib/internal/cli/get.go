package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type getOptions struct {
	*app
	trustFlags
	version string
	asOf    string
}

func newGet(a *app) *cobra.Command {
	o := &getOptions{app: a}
	command := &cobra.Command{
		Use:        "get NAME | IMAGE",
		SuggestFor: []string{"show", "describe", "inspect", "info"},
		Short:      "Show everything about one entry, or the entries of an image",
		Long: `Show everything about one entry: its image with digest and sizes, platforms,
files to flash with references and checksums, what is attached to it, where it
came from, and commands to paste: bootc switch, podman pull, oras pull, j
storage flash. They name what was published, by digest, and carry what this
command was told about the registry: plain HTTP, CA, credentials file. Where
mirrors are set, location is where the image is asked for first. Of several
catalogs, the first that has the entry answers.

Of an image, given by tag or digest, its entries are listed: every version in
the catalogs that has this digest as its image, a platform or an artifact, and
what attachments of the image tell of entries elsewhere, with the catalog that
they name (` + "`attached: true`" + ` in YAML and JSON). An attachment is the word of
whoever may write beside the image; the catalog that it names is not opened.
Under a trust policy it is verified by the signatures beside it; where these
prove nothing, its verdict is unknown, and -o name leaves it out, and says so on
standard error. A tag stands for what it names now; through --server, which
resolves no tags, for every version that was published from it, and attachments
are not read.

Under a trust policy, or with --verified, an entry whose signatures do not hold
is refused, and of others it is shown who has signed them and, where a service
proves it, when.`,
		Example: `  caib catalog get autosd
  caib catalog get autosd -o table
  caib catalog get autosd -o json
  caib catalog get autosd --version 1.3
  caib catalog get quay.io/team/autosd:nightly -o table
  caib catalog get autosd --verified --key release.pub --require both`,
		Args:              arguments("NAME"),
		ValidArgsFunction: a.completeNames,
	}
	command.Flags().StringVar(&o.version, "version", "", "the newest publication with this version")
	command.Flags().StringVar(&o.asOf, "as-of", "", "the entry as it was then: a time, a date, or an age (48h, 3d)")
	o.trustFlags.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *getOptions) run(ctx context.Context, args []string) error {
	if isImage(args[0]) {
		return o.image(ctx, args[0])
	}
	asOf, err := o.moment("as-of", o.asOf)
	if err != nil {
		return err
	}
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	item, err := first(catalogs, func(c reader) (entry.Item, error) {
		item, err := c.Get(ctx, args[0], catalog.GetOptions{Version: o.version, AsOf: asOf, Signers: o.settings.output != "name"})
		if len(catalogs) > 1 {
			item.Catalog = c.Reference()
		}
		return item, err
	})
	if err != nil {
		return trustHint(namesHint(err))
	}
	if o.settings.output == "name" {
		_, err := fmt.Fprintln(o.system.Out, item.Name)
		return err
	}
	shown := shownItem{Item: &item, Commands: o.settings.fetchLines(&item)}
	if shown.Location, err = o.location(&item); err != nil {
		return err
	}
	switch o.settings.output {
	case "table", "wide":
		return o.details(&shown, o.settings.output == "wide")
	case "json":
		return o.document("json", shown)
	}
	return o.document("yaml", shown)
}

// first asks each catalog in turn until one has what is asked for. A catalog
// that cannot be asked ends the search: it might have had it.
func first[S, T any](catalogs []S, ask func(S) (T, error)) (answer T, err error) {
	for _, c := range catalogs {
		answer, err = ask(c)
		if !errors.Is(err, entry.ErrNotFound) {
			break
		}
	}
	return answer, err
}
