package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// pullArguments refuses a duration that stands where DEST does, and belongs to --wait.
func pullArguments(command *cobra.Command, args []string) error {
	for _, arg := range args[min(1, len(args)):] {
		if err := misplacedWait(command, arg); err != nil {
			return err
		}
	}
	return arguments("NAME", "[DEST]")(command, args)
}

// awaited gets an entry. With --wait, one that no catalog has yet is looked for again.
func (o *pullOptions) awaited(ctx context.Context, catalogs []reader, name string) (item entry.Item, err error) {
	get := func(ctx context.Context) error {
		item, err = first(catalogs, func(c reader) (entry.Item, error) {
			o.from = c
			return c.Get(ctx, name, catalog.GetOptions{Version: o.pull.Version})
		})
		return err
	}
	wanted := name
	if o.pull.Version != "" {
		wanted += " " + o.pull.Version
	}
	waiting := o.newWaiting()
	defer waiting.clear()
	err = catalog.AwaitEntry(ctx, o.wait, func(since time.Duration) { waiting.show(wanted, since) }, get)
	return item, err
}
