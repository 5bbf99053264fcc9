package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

var errDeclined = errors.New("not removed: the answer was not yes")

type removeOptions struct {
	*app
	signing  signingFlags
	origin   originFlags
	force    bool
	unsigned bool
	reason   string
}

func newRemove(a *app) *cobra.Command {
	o := &removeOptions{app: a}
	command := &cobra.Command{
		Use:        "remove NAME",
		Aliases:    []string{"rm"},
		SuggestFor: []string{"delete", "del"},
		Short:      "End an entry",
		Long: `End an entry: it is no longer listed, and its history stays. The image itself is
not touched; beside one that was published here the removal is told. On a
terminal the command asks first; elsewhere it needs --force.

Where readers demand signatures, the removal needs one too: --sign-key or
--sign-keyless. Without one, a policy in the settings that would refuse it stops
it; --unsigned goes on all the same.`,
		Example: `  caib catalog remove autosd
  caib catalog remove autosd --force --reason "superseded by autosd-rpi4"`,
		Args:              arguments("NAME"),
		ValidArgsFunction: a.completeNames,
	}
	command.Flags().BoolVar(&o.force, "force", false, "do not ask")
	command.Flags().StringVar(&o.reason, "reason", "", "why, for the history")
	o.origin.register(command.Flags())
	o.signing.register(command.Flags(), false)
	unsignedFlag(command.Flags(), &o.unsigned)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *removeOptions) run(ctx context.Context, args []string) error {
	name := args[0]
	if err := entry.CheckName(name); err != nil {
		return err
	}
	if !o.force && !o.system.InTerminal {
		return withHint(fmt.Errorf("%w: remove %s: nobody is here to ask", entry.ErrInvalid, name), "give --force to remove it without a question")
	}
	author, _, err := o.origin.resolve(o.app)
	if err != nil {
		return err
	}
	c, err := o.writer(ctx)
	if err != nil {
		return err
	}
	if !o.force {
		if err := o.ask(ctx, c, name); err != nil {
			return err
		}
	}
	sign, err := o.signing.openUnless(ctx, o.unsigned, o.app)
	if err != nil {
		return err
	}
	result, err := c.Remove(ctx, name, catalog.RemoveOptions{Reason: o.reason, Author: author, Sign: sign, Unsigned: o.unsigned})
	if err != nil {
		return namesHint(err)
	}
	o.warnOf(result.Warnings)
	for _, step := range []*catalog.Step{&result.Attachment, result.SignatureAttachment} {
		if step != nil && step.Reason != "" {
			o.warn(fmt.Sprintf("the entry is removed, and its image does not tell: %s: %s", step.Outcome, step.Reason))
		}
	}
	event := result.Event
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, struct {
			entry.Event
			Attachment          catalog.Step  `json:"attachment"`
			SignatureAttachment *catalog.Step `json:"signatureAttachment,omitempty"`
		}{event, result.Attachment, result.SignatureAttachment})
	case "name":
		fmt.Fprintln(o.system.Out, event.Name)
	default:
		fmt.Fprintf(o.system.Out, "removed %s\n", event.Name)
		o.done("revision %s", event.Tag)
		if sign != nil {
			o.done("removal signed")
		}
	}
	return nil
}

// ask asks whether an entry is to end, and fails unless the answer is yes.
func (o *removeOptions) ask(ctx context.Context, c writer, name string) error {
	what := name
	var refused *trust.Error
	switch item, err := c.Get(ctx, name, catalog.GetOptions{}); {
	case errors.As(err, &refused): // what the policy refuses may go all the same
		o.warn(err.Error())
	case err != nil:
		return namesHint(err)
	default:
		what = fmt.Sprintf("%s (%s)", name, item.RegistryURL)
	}
	yes, err := o.confirm(ctx, fmt.Sprintf("Remove %s from %s?", what, c.Reference()))
	if err == nil && !yes {
		err = errDeclined
	}
	return err
}
