package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// trustFlags are the flags by which reading commands require signatures. They
// make a policy of one rule, which takes the place of the one in the settings.
type trustFlags struct {
	verified       bool
	keys           []string
	identity       []string
	identityRegexp []string
	issuer         string
	issuerRegexp   string
	root           string
	require        string
}

// requirements are the values of --require.
var requirements = map[string][]trust.Subject{
	"": nil, "entry": {trust.SubjectEntry}, "image": {trust.SubjectImage}, "both": {trust.SubjectEntry, trust.SubjectImage},
}

func (f *trustFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.verified, "verified", false, "require signatures: by the policy, or by the keys and identities given here; with --server and none of these, by what the server verified")
	flags.StringArrayVar(&f.keys, "key", nil, "a public key whose signature will do: a PEM file with one or more, https://…, env://VARIABLE, or NAME://KEY of a sigstore-kms-NAME plugin; may be repeated")
	flags.StringArrayVar(&f.identity, "certificate-identity", nil, "a keyless signer whose signature will do; may be repeated")
	flags.StringArrayVar(&f.identityRegexp, "certificate-identity-regexp", nil, "the same as a regular expression that matches the whole identity")
	flags.StringVar(&f.issuer, "certificate-oidc-issuer", "", "who must vouch for keyless signers")
	flags.StringVar(&f.issuerRegexp, "certificate-oidc-issuer-regexp", "", "the same as a regular expression that matches the whole issuer")
	flags.StringVar(&f.root, "trusted-root", "", "sigstore trusted root (JSON file) that keyless signatures are checked by; that of the public good instance")
	flags.Var(&choice{&f.require, []string{"entry", "image", "both"}}, "require", "what must be signed: entry, image or both; entry")
}

// given reports whether signers are named on the command line.
func (f *trustFlags) given() bool {
	return len(f.keys)+len(f.identity)+len(f.identityRegexp) > 0 || f.issuer != "" || f.issuerRegexp != "" || f.root != "" || f.require != ""
}

// policy is the policy in force: of the flags, else of the settings, else none.
// With --verified alone, a server's word is taken (readers).
func (a *app) policy(ctx context.Context, f *trustFlags) (*trust.Policy, error) {
	if f.given() {
		policy, err := f.makePolicy(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("signers: %w", err)
		}
		return policy, nil
	}
	policy, err := a.configuredPolicy(ctx, f.verified)
	if err != nil || !f.verified {
		return policy, err
	}
	switch {
	case policy != nil:
		return policy, nil
	case a.settings.server == "":
		return nil, withHint(fmt.Errorf("%w: --verified: nothing to verify with: no policy, key or identity is given", entry.ErrInvalid),
			signersHint+", or a policy")
	}
	return nil, nil
}

const signersHint = "give --key FILE, or --certificate-identity and --certificate-oidc-issuer"

// configuredPolicy is the policy of the settings, enforced where it only warns if
// that is asked for; nil is none.
func (a *app) configuredPolicy(ctx context.Context, enforce bool) (*trust.Policy, error) {
	if a.settings.policy == "" {
		return nil, nil
	}
	options, err := a.loadOptions()
	if err != nil {
		return nil, err
	}
	options.Enforce = enforce
	policy, err := trust.LoadPolicy(ctx, a.settings.policy, options)
	return policy, a.settings.at("policy", err)
}

// makePolicy makes the policy of the flags.
func (f *trustFlags) makePolicy(ctx context.Context, a *app) (*trust.Policy, error) {
	rule := &trust.Rule{Require: requirements[f.require]}
	options, err := a.loadOptions()
	if err != nil {
		return nil, err
	}
	for _, reference := range f.keys {
		keys, err := trust.LoadKeys(ctx, reference, options)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		rule.Keys = append(rule.Keys, keys...)
	}
	for _, subject := range f.identity {
		rule.Identities = append(rule.Identities, trust.Identity{Subject: subject, Issuer: f.issuer, IssuerRegexp: f.issuerRegexp})
	}
	for _, subject := range f.identityRegexp {
		rule.Identities = append(rule.Identities, trust.Identity{SubjectRegexp: subject, Issuer: f.issuer, IssuerRegexp: f.issuerRegexp})
	}
	switch issuer := f.issuer != "" || f.issuerRegexp != ""; {
	case issuer && len(rule.Identities) == 0:
		return nil, fmt.Errorf("%w: --certificate-oidc-issuer needs --certificate-identity", entry.ErrInvalid)
	case !issuer && len(rule.Identities) > 0:
		return nil, fmt.Errorf("%w: --certificate-identity needs --certificate-oidc-issuer: without it anybody's certificate would do", entry.ErrInvalid)
	case len(rule.Keys)+len(rule.Identities) == 0:
		return nil, withHint(fmt.Errorf("%w: --require and --trusted-root need somebody who must have signed", entry.ErrInvalid), signersHint)
	}
	var root *trust.Root
	if f.root != "" || len(rule.Identities) > 0 {
		root, err = trust.LoadRoot(ctx, f.root, options)
	}
	if err != nil {
		if f.root != "" {
			err = fmt.Errorf("--trusted-root: %w", err)
		}
		return nil, err
	}
	return trust.NewPolicy(root, nil, rule)
}

// loadOptions say how keys, roots and policies are found.
func (a *app) loadOptions() (trust.LoadOptions, error) {
	transport, err := a.plainTransport()
	if err != nil {
		return trust.LoadOptions{}, err
	}
	options := trust.LoadOptions{
		Getenv: a.system.Getenv, LookupEnv: a.system.lookupEnv, Transport: transport, Now: a.system.Now,
		NoInstance: a.settings.server != "", // a server checks signatures itself
	}
	if dir, err := cacheDir(a.system.Getenv); err == nil {
		options.CacheDir = filepath.Join(dir, "caib")
	}
	return options, nil
}

// maxTrustFile bounds tokens, signing configs and keys, in bytes.
const maxTrustFile = 4 << 20

// readFile reads the file that a flag names.
func readFile(what, path string) ([]byte, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", entry.ErrInvalid, what, err)
	}
	return text, nil
}

// readBounded reads a file, or a pipe, that is not longer than maxTrustFile.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTrustFile+1))
	if err == nil && len(text) > maxTrustFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxTrustFile)
	}
	return text, err
}

// openVerified opens every catalog of the settings under the policy in force.
func (a *app) openVerified(ctx context.Context, f *trustFlags) ([]reader, error) {
	policy, err := a.policy(ctx, f)
	if err != nil {
		return nil, err
	}
	return a.readers(policy, f.verified)
}

// maxRefusals bounds the refused entries that are named one by one.
const maxRefusals = 20

// refusals tells of each entry that the policy refuses, and returns an error
// that sums them up. Other errors come back as they are.
func (a *app) refusals(err error) error {
	var refused *refusedError
	if !errors.As(err, &refused) || len(refused.errors) < 2 {
		return trustHint(err)
	}
	for i, one := range refused.errors {
		if i == maxRefusals {
			a.warn(fmt.Sprintf("and %d more", len(refused.errors)-i))
			break
		}
		a.warn("refused: " + one.Error())
	}
	return trustHint(err)
}

// trustHint says what to do about a refusal.
func trustHint(err error) error {
	var refusal *trust.Error
	if errors.As(err, &refusal) && refusal.Subject == trust.SubjectLatest {
		return withHint(err, "publish the entry again, or accept the loss with `caib catalog accept-loss NAME`; if the registry was replaced, add --local")
	}
	if errors.As(err, &refusal) && errors.Is(err, entry.ErrUntrusted) && !errors.Is(err, entry.ErrUnreachable) {
		return withHint(err, "`caib catalog policy test NAME` says which rule applies; if it is yours, `caib catalog sign NAME` adds a signature; if not, publish the entry again")
	}
	return err
}
