package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type acceptLossOptions struct {
	*app
	signing signingFlags
	origin  originFlags
	all     bool
	local   bool
}

func newAcceptLoss(a *app) *cobra.Command {
	o := &acceptLossOptions{app: a}
	command := &cobra.Command{
		Use:   "accept-loss NAME... | --all",
		Short: "Move on from entries whose latest revision is gone",
		Long: `What this reader once saw in a catalog it knows: when the registry no longer has
the latest revision of an entry, that is reported each time, and refused under a
policy. accept-loss publishes the revision that is newest now once more, or a
removal where there is none, dated after what is lost, so that every reader
moves on. Where readers require signatures, it needs one too: --sign-key or
--sign-keyless.

With --local nothing is written: this reader alone forgets what it saw, because
the registry was replaced or set back by those who run it.`,
		Example: `  caib catalog accept-loss autosd --sign-key team.key
  caib catalog accept-loss --all
  caib catalog accept-loss --local --all`,
		Args:              namesOr(&o.all),
		ValidArgsFunction: a.completeNames,
	}
	command.Flags().BoolVar(&o.all, "all", false, "accept every loss")
	command.Flags().BoolVar(&o.local, "local", false, "forget what this reader saw, and write nothing to the registry")
	o.origin.register(command.Flags())
	o.signing.register(command.Flags(), false)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *acceptLossOptions) run(ctx context.Context, names []string) error {
	sign, err := o.signing.open(ctx, o.app)
	if err != nil {
		return err
	}
	if o.local && sign != nil {
		return fmt.Errorf("%w: --local writes nothing that could be signed", entry.ErrInvalid)
	}
	author, _, err := o.origin.resolve(o.app)
	if err != nil {
		return err
	}
	c, err := o.openOne(ctx)
	if err != nil {
		return err
	}
	if o.local {
		return o.forget(ctx, c, names)
	}
	if o.all {
		losses, err := c.Losses(ctx)
		if err != nil {
			return err
		}
		for _, loss := range losses {
			names = append(names, loss.Name)
		}
		if len(names) == 0 {
			o.note("nothing is lost that this reader saw")
		}
	}
	events := []entry.Event{}
	var failed error
	for _, name := range names {
		event, err := c.AcceptLoss(ctx, name, catalog.AcceptLossOptions{Author: author, Sign: sign})
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		events = append(events, event)
		o.accepted(event)
	}
	if o.settings.output == "json" || o.settings.output == "yaml" {
		failed = errors.Join(failed, o.document(o.settings.output, map[string]any{"items": events, "total": len(events)}))
	}
	return trustHint(failed)
}

// forget is the loss of this reader alone.
func (o *acceptLossOptions) forget(ctx context.Context, c *catalog.Catalog, names []string) error {
	if o.all {
		names = []string{""}
	}
	for _, name := range names {
		if _, err := c.AcceptLoss(ctx, name, catalog.AcceptLossOptions{Local: true}); err != nil {
			return err
		}
		what := name
		if name == "" {
			what = "all of " + c.Reference()
		}
		o.done("forgot what was seen of %s", what)
	}
	return nil
}

// accepted tells people what was written.
func (o *acceptLossOptions) accepted(event entry.Event) {
	switch o.settings.output {
	case "json", "yaml":
	case "name":
		fmt.Fprintln(o.system.Out, event.Name)
	default:
		what := "republished"
		if event.Operation == "remove" {
			what = "removed"
		}
		fmt.Fprintf(o.system.Out, "%s %s\n", what, event.Name)
		o.done("revision %s", event.Tag)
	}
}
