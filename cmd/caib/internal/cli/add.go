package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type addOptions struct {
	*app
	publicationFlags
}

func newAdd(a *app) *cobra.Command {
	o := &addOptions{app: a}
	command := &cobra.Command{
		Use:   "add NAME IMAGE",
		Short: "Add an image that somebody else built",
		Long: `Inspect an image and add it to the catalog under a name that must be new.
Nothing is written to the image's repository. With --digest, a reference that
resolves to anything else is refused. Under a trust policy that demands
signatures, it needs one: --sign-key or --sign-keyless; --unsigned does without.`,
		Example: `  caib catalog add cs9-base quay.example.com/centos/cs9:latest
  caib catalog add cs9-base quay.example.com/centos/cs9:latest --target qemu \
      --digest sha256:2f4c8e…`,
		Args: arguments("NAME", "IMAGE"),
	}
	o.register(command.Flags())
	o.signing.register(command.Flags(), false)
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *addOptions) run(ctx context.Context, args []string) error {
	err := o.complete(o.app)
	if err != nil {
		return err
	}
	o.signing.dry = o.options.DryRun
	if o.options.Sign, err = o.signing.openUnless(ctx, o.options.Unsigned, o.app); err != nil {
		return err
	}
	c, err := o.writer(ctx)
	if err != nil {
		return err
	}
	result, err := c.Add(ctx, args[0], args[1], o.options)
	return o.published(result, err)
}
