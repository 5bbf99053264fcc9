package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/entry"
)

type importKeyPairOptions struct {
	keyPairOptions
	key string
}

func newImportKeyPair(a *app) *cobra.Command {
	o := &importKeyPairOptions{keyPairOptions: keyPairOptions{app: a}}
	command := &cobra.Command{
		Use:   "import-key-pair",
		Short: "Make a key pair to sign with of a private key that exists",
		Long: `Make a key pair to sign with of a private key in a PEM file that is not
encrypted: PKCS#8 (EC, RSA, Ed25519), or the older forms of EC and RSA keys. The
pair is in the form of cosign: the private key, encrypted with a password, in
PREFIX.key, and the public key in PREFIX.pub. The password is that of
COSIGN_PASSWORD, which may be set to nothing, or is asked for twice. A file that
exists is replaced after a question, or with --force. No registry is asked.`,
		Example: `  caib catalog import-key-pair --key openssl.pem --output-key-prefix team`,
		Args:    arguments(),
	}
	o.register(command.Flags(), "import-cosign")
	command.Flags().StringVar(&o.key, "key", "", "the private key (PEM file, not encrypted)")
	return a.verb(command, []int{exitConflict}, o.run)
}

func (o *importKeyPairOptions) run(ctx context.Context, _ []string) error {
	if err := checkImported(o.key); err != nil {
		return err
	}
	return o.write(ctx, "imported", func(password cosign.PassFunc) (*cosign.KeysBytes, error) {
		pair, err := cosign.ImportKeyPair(o.key, password)
		if err != nil {
			err = withHint(fmt.Errorf("%w: --key %s: %w", entry.ErrInvalid, o.key, err),
				"want a private key that is not encrypted: EC, Ed25519, or RSA of 2048 to 4096 bits; `openssl pkcs8 -topk8 -nocrypt -in FILE` makes PKCS#8 of other forms")
		}
		return pair, err
	})
}

// checkImported refuses what cannot be read whole: a key is read from a file,
// or from a pipe.
func checkImported(path string) error {
	if path == "" {
		return withHint(fmt.Errorf("%w: --key is missing: which private key is imported", entry.ErrInvalid), "`caib catalog generate-key-pair` makes a new one")
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0:
		err = fmt.Errorf("%s is not a file", path)
	case info.Size() > maxTrustFile:
		err = fmt.Errorf("%s is longer than %d bytes", path, maxTrustFile)
	}
	if err != nil {
		return fmt.Errorf("%w: --key: %w", entry.ErrInvalid, err)
	}
	return nil
}
