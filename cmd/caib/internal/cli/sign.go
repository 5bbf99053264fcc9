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
	signing signingFlags
	all     bool
	name    string
	resume  bool
	match   string
}

func newSign(a *app) *cobra.Command {
	o := &signOptions{app: a}
	command := &cobra.Command{
		Use:   "sign NAME... | --all",
		Short: "Add a signature to what is published",
		Long: `Sign the newest revision of an entry as it stands in the catalog: its
publication, or its removal. A key that has signed it already adds nothing; with
another key, an entry that somebody else published is approved. Where a
publication is attached to its image, its signatures are put there too. With
--sign-image the image is signed as well, in its own repository.

With --all, every live entry is signed, or those whose names fit --name; one
that cannot be signed does not stop the others. An interrupted run is taken up
again by --resume: what it has signed is not checked again.

A signature vouches for all that an entry says, and the newest revision is
signed, whoever published it meanwhile. --if-revision signs the one that you
looked at ("revision" in "get -o json"), or nothing.

With --sign-keyless the signer is who or what runs this: a pipeline in GitHub
Actions ("permissions: id-token: write") or GitLab ("id_tokens:
{SIGSTORE_ID_TOKEN: {aud: sigstore}}"), the bearer of --identity-token, or on a
terminal whoever logs in. Without --signing-config that is certified by the
public good instance of sigstore, and stands in public logs for ever. As for
cosign, TUF_MIRROR and TUF_ROOT_JSON name another instance.`,
		Example: `  caib catalog sign autosd --sign-key team.key
  caib catalog sign autosd --sign-key team.key --sign-image --signature-format legacy
  caib catalog sign --all --name 'prod-*' --sign-key qa.key
  caib catalog sign autosd --sign-keyless
  caib catalog sign autosd --sign-keyless --signing-config signing-config.json --trusted-root root.json`,
		Args:              namesOr(&o.all),
		ValidArgsFunction: a.completeNames,
	}
	command.Flags().BoolVar(&o.all, "all", false, "sign every live entry")
	command.Flags().StringVar(&o.name, "name", "", "with --all: only entries whose name fits this pattern; * stands for any characters")
	command.Flags().BoolVar(&o.resume, "resume", false, "with --all: leave out what an interrupted run has signed")
	command.Flags().StringVar(&o.match, "if-revision", "", "sign nothing unless this revision (its digest) is the newest")
	o.signing.register(command.Flags(), true)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *signOptions) run(ctx context.Context, args []string) error {
	if !o.all && (o.name != "" || o.resume) {
		return fmt.Errorf("%w: --name and --resume are for --all", entry.ErrInvalid)
	}
	match, err := parseMatch(o.match)
	switch {
	case err != nil:
		return err
	case match != "" && len(args) != 1:
		return fmt.Errorf("%w: --if-revision is for one name", entry.ErrInvalid)
	}
	signing, err := o.signing.open(ctx, o.app)
	if err != nil {
		return err
	}
	if signing == nil {
		return withHint(fmt.Errorf("%w: nothing signs", entry.ErrInvalid), "give --sign-key FILE, or --sign-keyless")
	}
	signing.Match = match
	c, err := o.openOne(ctx)
	if err != nil {
		return err
	}
	if o.all {
		return o.signAll(ctx, c, signing)
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
	if o.structured() {
		failed = errors.Join(failed, o.document(o.settings.output, map[string]any{"items": results}))
	}
	if match != "" && errors.Is(failed, entry.ErrConflict) {
		return withHint(failed, "look at it with `caib catalog get %s`, and sign that one", args[0])
	}
	return namesHint(failed)
}

func (o *signOptions) printSigned(result catalog.SignResult) {
	if result.Signature.Outcome == catalog.Signed || result.Signature.Outcome == catalog.SignedBefore {
		fmt.Fprintf(o.system.Out, "%s %s %s\n", result.Signature.Outcome, result.Name, result.Tag)
	}
	o.signed("entry", &result.Signature)
	o.signed("image", result.ImageSignature)
	o.signaturesAttached(result.SignatureAttachment)
}
