package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type signOptions struct {
	*app
	signing signing
}

func newSign(a *app) *cobra.Command {
	o := &signOptions{app: a}
	command := &cobra.Command{
		Use:   "sign NAME...",
		Short: "Add a signature to what is published",
		Long: `Sign the newest revision of an entry as it stands in the catalog: its publication,
or its removal. A key that has signed it already adds nothing. With --sign-image
the image is signed as well, in its own repository.`,
		Example: `  caib catalog sign autosd --sign-key team.key
  caib catalog sign autosd --sign-key team.key --sign-image --signature-format legacy
  caib catalog sign autosd --sign-keyless --signing-config signing-config.json`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
	}
	o.signing.register(command.Flags(), true)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUnreachable, exitMalformed}, o.run)
}

func (o *signOptions) run(ctx context.Context, args []string) error {
	signing, err := o.signing.open(ctx, o.app)
	if err != nil {
		return err
	}
	if signing == nil {
		return withHint(fmt.Errorf("%w: nothing signs", entry.ErrInvalid), "give --sign-key FILE, or --sign-keyless with --signing-config FILE")
	}
	c, err := o.openOne()
	if err != nil {
		return err
	}
	results := []catalog.SignResult{}
	var failed error
	for _, name := range args {
		result, err := c.Sign(ctx, name, *signing)
		failed = errors.Join(failed, err)
		results = append(results, result)
		switch o.settings.output {
		case "json", "yaml":
		case "name":
			if err == nil {
				fmt.Fprintln(o.system.Out, name)
			}
		default:
			o.printSigned(result)
		}
	}
	if o.settings.output == "json" || o.settings.output == "yaml" {
		failed = errors.Join(failed, o.document(o.settings.output, map[string]any{"items": results}))
	}
	return namesHint(failed)
}

func (o *signOptions) printSigned(result catalog.SignResult) {
	if result.Signature.Outcome == catalog.SignWritten || result.Signature.Outcome == catalog.SignPresent {
		fmt.Fprintf(o.system.Out, "%s %s %s\n", result.Signature.Outcome, result.Name, result.Tag)
	}
	o.signed("entry", &result.Signature)
	o.signed("image", result.Image)
	o.signaturesAttached(result.SignatureAttachment)
}
