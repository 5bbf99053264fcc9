package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"

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
	case s.key != "" && s.keyless:
		return nil, fmt.Errorf("%w: give either --sign-key or --sign-keyless", entry.ErrInvalid)
	case s.root != "" && (s.config == "" || !s.keyless):
		return nil, fmt.Errorf("%w: --trusted-root goes with --sign-keyless and --signing-config", entry.ErrInvalid)
	case s.token != "" && !s.keyless:
		return nil, fmt.Errorf("%w: --identity-token goes with --sign-keyless", entry.ErrInvalid)
	}
	made := &catalog.Signing{Format: trust.Format(s.format), Image: s.image}
	var err error
	if s.keyless {
		signer, err := s.openKeyless(ctx, a)
		if err == nil && !s.dry {
			err = signer.Certify(ctx) // before anything is written
		}
		made.Signer = signer
		return made, err
	}
	if s.config != "" {
		if made.Services, _, err = s.readConfig(a); err != nil {
			return nil, err
		}
	}
	made.Signer, err = s.openKey(ctx, a)
	return made, err
}

// readConfig reads the services of --signing-config.
func (s *signingFlags) readConfig(a *app) (*trust.Services, http.RoundTripper, error) {
	transport, err := a.plainTransport()
	if err != nil {
		return nil, nil, err
	}
	text, err := readFile("--signing-config", s.config)
	if err != nil {
		return nil, nil, err
	}
	services, err := trust.ParseSigningConfig(text, transport, a.system.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("--signing-config: %w", err)
	}
	return services, transport, nil
}

func (s *signingFlags) openKey(ctx context.Context, a *app) (trust.Signer, error) {
	loader, err := a.keyLoader()
	if err != nil {
		return nil, err
	}
	guessed := false
	signer, err := loader.Signer(ctx, s.key, func() (password []byte, err error) {
		password, guessed, err = a.password(ctx)
		return password, err
	})
	if err != nil {
		err = fmt.Errorf("--sign-key: %w", err)
	}
	if guessed {
		err = withHint(err, "set %s to the password of the key", passwordVariable)
	}
	return signer, err
}

// openKeyless makes a keyless signer of the services of --signing-config, else
// of the instance.
func (s *signingFlags) openKeyless(ctx context.Context, a *app) (*trust.Keyless, error) {
	if s.token != "" {
		if _, err := os.Stat(s.token); err != nil { // before any service is asked
			return nil, fmt.Errorf("%w: --identity-token: %v", entry.ErrInvalid, err)
		}
	}
	options := trust.KeylessOptions{Now: a.system.Now}
	if s.config != "" {
		services, transport, err := s.readConfig(a)
		if err != nil {
			return nil, err
		}
		options.Services, options.Token = services, s.tokens(a, services, transport)
		if s.root == "" {
			a.warn("signatures are not checked against a trusted root: --trusted-root is not given")
			return trust.NewKeyless(options)
		}
		if options.Root, err = readRoot(s.root); err != nil {
			return nil, err
		}
		return trust.NewKeyless(options)
	}
	instance, transport, err := a.instance(ctx)
	if err != nil {
		return nil, err
	}
	if options.Root, err = instance.Root(); err != nil {
		return nil, err
	}
	if options.Services, err = instance.Services(transport, a.system.Now()); err != nil {
		return nil, err
	}
	options.Token = a.publicly(s.tokens(a, options.Services, transport))
	return trust.NewKeyless(options)
}

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
