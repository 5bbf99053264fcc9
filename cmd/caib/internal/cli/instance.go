package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// The variables by which cosign is told of another instance of sigstore.
const (
	tufMirror   = "TUF_MIRROR"    // URL of the TUF repository
	tufRootJSON = "TUF_ROOT_JSON" // file that the repository is trusted by
	tufRoot     = "TUF_ROOT"      // directory that keeps what it said
)

// instance opens the public good instance of sigstore, or that of the
// environment.
func (a *app) instance(ctx context.Context) (*trust.Instance, *http.Transport, error) {
	transport, err := a.plainTransport()
	if err != nil {
		return nil, nil, err
	}
	options := trust.InstanceOptions{Mirror: a.system.Getenv(tufMirror), Cache: a.system.Getenv(tufRoot), Transport: transport}
	if path := a.system.Getenv(tufRootJSON); path != "" {
		if options.Root, err = readFile(tufRootJSON, path); err != nil {
			return nil, nil, err
		}
	}
	if dir, err := cacheDir(a.system.Getenv); err == nil && options.Cache == "" {
		options.Cache = filepath.Join(dir, "caib", "tuf")
	}
	instance, err := trust.OpenInstance(ctx, options)
	return instance, transport, err
}

// instanceRoot gets the trusted root of the instance, for keyless signers who are
// named without one. If it cannot be had, nothing is known of their signatures.
// A server checks signatures itself, and nothing is asked for it here.
func (a *app) instanceRoot(ctx context.Context) (root *trust.Root, err error) {
	if a.settings.server != "" {
		return trust.MissingRoot(errors.New("signatures are checked by the server")), nil
	}
	instance, _, err := a.instance(ctx)
	if err == nil {
		root, err = instance.Root()
	}
	if errors.Is(err, entry.ErrUnreachable) && ctx.Err() == nil {
		return trust.MissingRoot(err), nil
	}
	return root, err
}

// tokens returns what finds the identity token of a keyless signer: the file
// that is given, the environment, at last the person at the terminal.
func (s *signingFlags) tokens(a *app, services *trust.Services, transport http.RoundTripper) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if s.token != "" {
			text, err := readFile("--identity-token", s.token)
			return strings.TrimSpace(string(text)), err
		}
		token, err := trust.AmbientToken(ctx, a.system.Getenv, os.ReadFile, transport)
		switch {
		case token != "" || err != nil:
			return token, err
		case a.system.InTerminal && a.system.ErrTerminal:
			return trust.DeviceToken(ctx, services, func(address, code string) {
				fmt.Fprintf(a.system.Err, "To sign as yourself, open %s\nin a browser, and check that it shows the code %s\n", address, code)
			})
		}
		return "", withHint(fmt.Errorf("%w: --sign-keyless: there is no identity token, and nobody is here to ask", entry.ErrUnauthorized),
			"in GitHub Actions give the job `permissions: id-token: write`; in GitLab, `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`; elsewhere set SIGSTORE_ID_TOKEN, or give --identity-token FILE")
	}
}

// publicly says what signing keyless makes public, and asks for it where
// somebody can answer. It finds the token first: it says who signs.
func (a *app) publicly(next func(context.Context) (string, error)) func(context.Context) (string, error) {
	told := false
	return func(ctx context.Context) (string, error) {
		token, err := next(ctx)
		if err != nil || told {
			return token, err
		}
		who, err := trust.TokenSubject(token)
		if err != nil {
			return "", err
		}
		told = true
		a.note("Signing without a key enters into public logs, where everybody reads it and nobody can remove it, ever:")
		a.note("  who signs: %s", who)
		a.note("  what is signed: the digest of each entry, and with --sign-image of the image")
		if !a.system.InTerminal {
			return token, nil
		}
		yes, err := a.confirm(ctx, "Sign as "+who+"?")
		if err == nil && !yes {
			err = errUnsigned
		}
		return token, err
	}
}

var errUnsigned = errors.New("nothing signed or written: the answer was not yes")
