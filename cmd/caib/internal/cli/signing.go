package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// signingFlags are the flags by which writing commands sign.
type signingFlags struct {
	key     string
	keyless bool
	config  string
	root    string
	token   string
	format  string
	image   bool
	dry     bool // nothing will be signed
}

// noServerSigns says how to sign what a server does not.
const noServerSigns = "publish to the registry, or sign there afterwards: `caib catalog sign NAME --catalog REGISTRY/REPOSITORY`"

var signatureFormats = []string{string(trust.Bundle), string(trust.Legacy)}

// register adds the flags; that for the image only where a command may write
// beside images.
func (s *signingFlags) register(flags *pflag.FlagSet, image bool) {
	flags.StringVar(&s.key, "sign-key", "", "sign with this private key: a PEM file, env://VARIABLE, or NAME://KEY of a sigstore-kms-NAME plugin; password in COSIGN_PASSWORD")
	flags.BoolVar(&s.keyless, "sign-keyless", false, "sign with a certificate for who or what runs this, by the public good instance of sigstore")
	flags.StringVar(&s.config, "signing-config", "", "sigstore signing config (JSON file): which services certify and witness signatures")
	flags.StringVar(&s.root, "trusted-root", "", "sigstore trusted root (JSON file) that what the services of --signing-config answer is checked by")
	flags.StringVar(&s.token, "identity-token", "", "file with the OIDC token for --sign-keyless; that of the environment, else you are asked to log in")
	flags.Var(&choice{&s.format, signatureFormats}, "signature-format", "bundle (sigstore bundle as a referrer), or legacy (cosign 2's tags); bundle")
	if image {
		flags.BoolVar(&s.image, "sign-image", false, "sign the image as well, in its own repository")
	}
}

// unsignedFlag adds the flag that answers for a change without a signature.
func unsignedFlag(flags *pflag.FlagSet, unsigned *bool) {
	flags.BoolVar(unsigned, "unsigned", false, "go on without a signature although the policy would refuse the result")
}

// openUnless is open for a command that was told, or not, to go on unsigned.
func (s *signingFlags) openUnless(ctx context.Context, unsigned bool, a *app) (*catalog.Signing, error) {
	if unsigned && (s.key != "" || s.keyless) {
		return nil, fmt.Errorf("%w: --unsigned: give either that or what signs", entry.ErrInvalid)
	}
	return s.open(ctx, a)
}

// open makes what signs; nil where nothing is to be signed.
func (s *signingFlags) open(ctx context.Context, a *app) (*catalog.Signing, error) {
	if s.key == "" && !s.keyless {
		if s.image || s.config != "" || s.root != "" || s.token != "" || s.format != "" {
			return nil, withHint(fmt.Errorf("%w: nothing signs: a signature is asked for without a key", entry.ErrInvalid), "give --sign-key FILE, or --sign-keyless")
		}
		return nil, nil
	}
	switch {
	case a.settings.server != "":
		return nil, withHint(fmt.Errorf("%w: the server %s does not sign", entry.ErrInvalid, a.settings.server), noServerSigns)
	case s.key != "" && s.keyless:
		return nil, fmt.Errorf("%w: give either --sign-key or --sign-keyless", entry.ErrInvalid)
	case s.root != "" && (s.config == "" || !s.keyless):
		return nil, fmt.Errorf("%w: --trusted-root goes with --sign-keyless and --signing-config", entry.ErrInvalid)
	case s.token != "" && !s.keyless:
		return nil, fmt.Errorf("%w: --identity-token goes with --sign-keyless", entry.ErrInvalid)
	}
	made := &catalog.Signing{Format: trust.Format(s.format), Image: s.image}
	load, err := a.loadOptions()
	if err != nil {
		return nil, err
	}
	options := trust.SignerOptions{LoadOptions: load, Key: s.key, Later: s.dry}
	if s.config != "" {
		if options.SigningConfig, err = readFile("--signing-config", s.config); err != nil {
			return nil, err
		}
	}
	if s.keyless {
		made.Signer, err = s.openKeyless(ctx, a, options)
	} else {
		made.Signer, err = s.openKey(ctx, a, options)
	}
	return made, err
}

func (s *signingFlags) openKey(ctx context.Context, a *app, options trust.SignerOptions) (*trust.Signer, error) {
	guessed := false
	options.Password = func(ctx context.Context) (password []byte, err error) {
		password, guessed, err = a.password(ctx)
		return password, err
	}
	signer, err := trust.LoadSigner(ctx, options)
	if err != nil {
		err = fmt.Errorf("--sign-key: %w", err)
	}
	if guessed {
		err = withHint(err, "set %s to the password of the key", passwordVariable)
	}
	return signer, err
}

// openKeyless makes a keyless signer: its token is that of the file that is given,
// of the environment, at last of the person at the terminal.
func (s *signingFlags) openKeyless(ctx context.Context, a *app, options trust.SignerOptions) (*trust.Signer, error) {
	if s.token != "" {
		if _, err := os.Stat(s.token); err != nil { // before any service is asked
			return nil, fmt.Errorf("%w: --identity-token: %v", entry.ErrInvalid, err)
		}
		options.Token = func(context.Context) (string, error) {
			text, err := readFile("--identity-token", s.token)
			return strings.TrimSpace(string(text)), err
		}
	}
	if a.system.InTerminal && a.system.ErrTerminal {
		options.Login = func(address, code string) {
			fmt.Fprintf(a.system.Err, "To sign as yourself, open %s\nin a browser, and check that it shows the code %s\n", address, code)
		}
	}
	switch {
	case s.config == "":
		options.Confirm = a.confirmPublic
	case s.root == "":
		a.warn("signatures are not checked against a trusted root: --trusted-root is not given")
	default:
		var err error
		if options.Root, err = trust.LoadRoot(ctx, s.root, options.LoadOptions); err != nil {
			return nil, fmt.Errorf("--trusted-root: %w", err)
		}
	}
	signer, err := trust.LoadSigner(ctx, options)
	if errors.Is(err, trust.ErrNoToken) {
		return nil, withHint(fmt.Errorf("--sign-keyless: %w", err),
			"in GitHub Actions give the job `permissions: id-token: write`; in GitLab, `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`; elsewhere set SIGSTORE_ID_TOKEN, or give --identity-token FILE")
	}
	return signer, err
}

// confirmPublic says what signing keyless makes public, and asks for it where
// somebody can answer.
func (a *app) confirmPublic(ctx context.Context, who string) error {
	a.note("Signing without a key enters into public logs, where everybody reads it and nobody can remove it, ever:")
	a.note("  who signs: %s", who)
	a.note("  what is signed: the digest of each entry, and with --sign-image of the image")
	if !a.system.InTerminal {
		return nil
	}
	yes, err := a.confirm(ctx, "Sign as "+who+"?")
	if err == nil && !yes {
		err = errUnsigned
	}
	return err
}

var errUnsigned = errors.New("nothing signed or written: the answer was not yes")

// signed tells people what became of a signature; nil was not asked for.
func (a *app) signed(what string, s *catalog.Step) {
	if s == nil {
		return
	}
	switch s.Outcome {
	case catalog.Signed:
		a.done("%s signed with %s", what, s.Signer)
	case catalog.SignedBefore:
		a.note("%s is signed with %s already", what, s.Signer)
	case catalog.Skipped:
		if s.Reason != "" {
			a.note("not signed: %s", s.Reason)
		}
	}
}
