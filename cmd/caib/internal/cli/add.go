package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/entry"
)

type addOptions struct {
	*app
	publication
}

func newAdd(a *app) *cobra.Command {
	o := &addOptions{app: a}
	command := &cobra.Command{
		Use:   "add NAME IMAGE",
		Short: "Add an image that somebody else built",
		Long: `Inspect an image and add it to the catalog under a name that must be new. Nothing
is written to the image's repository. With --digest, a reference that resolves
to anything else is refused.`,
		Example: `  caib catalog add cs9-base quay.example.com/centos/cs9:latest
  caib catalog add cs9-base quay.example.com/centos/cs9:latest --target qemu \
      --digest sha256:2f4c8e…`,
		Args: cobra.ExactArgs(2),
	}
	o.register(command.Flags())
	o.signing.register(command.Flags(), false)
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUnreachable, exitMalformed}, o.run)
}

func (o *addOptions) run(ctx context.Context, args []string) error {
	if err := o.complete(); err != nil {
		return err
	}
	var err error
	if o.options.Sign, err = o.signing.open(ctx, o.app); err != nil {
		return err
	}
	c, err := o.writer()
	if err != nil {
		return err
	}
	result, err := c.Add(ctx, args[0], args[1], o.options)
	return o.published(result, err)
}

// publishHint says what to do about an image that could not be published.
func publishHint(err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, entry.ErrConflict) && strings.Contains(text, "exists already"):
		return withHint(err, "`caib catalog publish IMAGE --name NAME` gives it a new state, `caib catalog remove NAME` ends it")
	case errors.Is(err, entry.ErrConflict) && strings.Contains(text, "is published as"):
		return withHint(err, "publish it under that name, or give it this one with `caib catalog publish IMAGE --name NAME --move`")
	case errors.Is(err, entry.ErrInvalid) && strings.Contains(text, "name "):
		return withHint(err, "give the entry another name with --name")
	case errors.Is(err, entry.ErrNotFound):
		return withHint(err, "check the repository and the tag; an image is published after it was pushed")
	}
	return err
}
