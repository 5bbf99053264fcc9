package cli

import (
	"context"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/spf13/cobra"
)

func newGenerateKeyPair(a *app) *cobra.Command {
	o := &keyPairOptions{app: a}
	command := &cobra.Command{
		Use:   "generate-key-pair",
		Short: "Make a key pair to sign with",
		Long: `Make a key pair to sign with, in the form of cosign, whose commands use it too:
the private key (EC, P-256), encrypted with a password, in PREFIX.key, and the
public key in PREFIX.pub. The password is that of COSIGN_PASSWORD, which may be
set to nothing, or is asked for twice. A file that exists is replaced after a
question, or with --force. No registry is asked.`,
		Example: `  caib catalog generate-key-pair
  caib catalog generate-key-pair --output-key-prefix team`,
		Args: arguments(),
	}
	o.register(command.Flags(), "cosign")
	return a.verb(command, []int{exitConflict}, func(ctx context.Context, _ []string) error {
		return o.write(ctx, "generated", cosign.GenerateKeyPair)
	})
}
