package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// signing holds the flags with which writing commands sign.
type signing struct {
	key     string
	keyless bool
	config  string
	token   string
	format  string
	image   bool
}

var signatureFormats = []string{string(trust.Bundle), string(trust.Legacy)}

// register adds the flags; that for the image only where a command may write
// beside images.
func (s *signing) register(flags *pflag.FlagSet, image bool) {
	flags.StringVar(&s.key, "sign-key", "", "sign with this private key (PEM file, or NAME://KEY of a sigstore-kms-NAME plugin); password in COSIGN_PASSWORD")
	flags.BoolVar(&s.keyless, "sign-keyless", false, "sign with a certificate for the identity of this pipeline; needs --signing-config")
	flags.StringVar(&s.config, "signing-config", "", "sigstore signing config (JSON file): which services certify and witness signatures")
	flags.StringVar(&s.token, "identity-token", "", "file with the OIDC token for --sign-keyless; that of the environment")
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
func (s *signing) openUnless(ctx context.Context, unsigned bool, a *app) (*catalog.Signing, error) {
	if unsigned && (s.key != "" || s.keyless) {
		return nil, fmt.Errorf("%w: --unsigned: give either that or what signs", entry.ErrInvalid)
	}
	return s.open(ctx, a)
}

// open makes what signs; nil where nothing is to be signed.
func (s *signing) open(ctx context.Context, a *app) (*catalog.Signing, error) {
	if s.key == "" && !s.keyless {
		if s.image || s.config != "" || s.token != "" || s.format != "" {
			return nil, withHint(fmt.Errorf("%w: nothing signs: a signature is asked for without a key", entry.ErrInvalid), "give --sign-key FILE, or --sign-keyless with --signing-config FILE")
		}
		return nil, nil
	}
	if s.key != "" && s.keyless {
		return nil, fmt.Errorf("%w: give either --sign-key or --sign-keyless", entry.ErrInvalid)
	}
	made := &catalog.Signing{Format: trust.Format(s.format), Image: s.image}
	transport, err := a.plainTransport()
	if err != nil {
		return nil, err
	}
	if s.config != "" {
		text, err := readFile("--signing-config", s.config)
		if err != nil {
			return nil, err
		}
		if made.Services, err = trust.ParseSigningConfig(text, transport, a.system.Now()); err != nil {
			return nil, fmt.Errorf("--signing-config: %w", err)
		}
	}
	switch {
	case s.keyless:
		made.Signer, err = s.openKeyless(ctx, a, made.Services, transport)
	case trust.IsPluginReference(s.key):
		made.Signer, err = trust.OpenPlugin(ctx, s.key, exec.LookPath)
	default:
		made.Signer, err = s.openKey(ctx, a)
	}
	return made, err
}

func (s *signing) openKey(ctx context.Context, a *app) (trust.Signer, error) {
	text, err := readFile("--sign-key", s.key)
	if err != nil {
		return nil, err
	}
	signer, err := trust.ParsePrivateKey(text, func() ([]byte, error) { return a.password(ctx) })
	if err != nil {
		return nil, fmt.Errorf("--sign-key %s: %w", s.key, err)
	}
	return signer, nil
}

func (s *signing) openKeyless(ctx context.Context, a *app, services *trust.Services, transport http.RoundTripper) (trust.Signer, error) {
	if services == nil {
		return nil, fmt.Errorf("%w: --sign-keyless needs --signing-config: it says which services to ask", entry.ErrInvalid)
	}
	var token string
	var err error
	if s.token != "" {
		var text []byte
		text, err = readFile("--identity-token", s.token)
		token = strings.TrimSpace(string(text))
	} else {
		token, err = trust.AmbientToken(ctx, a.system.Getenv, os.ReadFile, transport)
	}
	if err != nil {
		return nil, err
	}
	return trust.NewKeyless(ctx, services, token)
}

// signed tells people what became of a signature; nil was not asked for.
func (a *app) signed(what string, s *catalog.Signed) {
	if s == nil {
		return
	}
	switch s.Outcome {
	case catalog.SignWritten:
		a.done("%s signed with %s", what, s.Signer)
	case catalog.SignPresent:
		a.note("%s is signed with %s already", what, s.Signer)
	case catalog.SignSkipped:
		if s.Reason != "" {
			a.note("not signed: %s", s.Reason)
		}
	}
}
