package trust

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// ErrNoToken is that a keyless signer has no identity token, and nobody to ask for
// one. It is an entry.ErrUnauthorized.
var ErrNoToken = fmt.Errorf("%w: there is no identity token, and nobody is here to ask", entry.ErrUnauthorized)

// Signer signs digests, with a lasting key or keyless: with a certificate for who
// or what runs the program. It is safe for concurrent use.
type Signer struct {
	// Keyless is that the signer has a certificate instead of a lasting key: it
	// cannot tell its earlier signatures from those of others. Read-only.
	Keyless bool

	key      messageSigner
	services *services // nil: nobody witnesses what a lasting key signs
}

// SignerOptions say what signs. The zero value signs keyless, by the public good
// instance of sigstore, as the pipeline that it runs in.
type SignerOptions struct {
	LoadOptions
	// Key names a private key: FILE, env://NAME, or NAME://KEY of the program
	// sigstore-kms-NAME. "" signs keyless.
	Key string
	// Password is asked for only if the key is encrypted; nil is COSIGN_PASSWORD
	// of Getenv.
	Password func(context.Context) ([]byte, error)
	// SigningConfig is a sigstore signing config (JSON): the services that
	// certify and witness signatures. Nil is none with a key, and keyless the
	// public good instance.
	SigningConfig []byte
	// Root checks at once what services of SigningConfig answered, as readers
	// will; nil checks nothing. What the public good instance answers is always
	// checked.
	Root *Root
	// Token returns the OIDC identity token of a keyless signer; nil finds that
	// of the environment (SIGSTORE_ID_TOKEN, GitHub Actions, a Kubernetes volume),
	// else has a person log in.
	Token func(context.Context) (string, error)
	// Login shows a person the address to open in a browser, and the code to
	// compare; nil is that nobody is here.
	Login func(address, code string)
	// Confirm is called once with whom the token names, before they sign keyless
	// and so enter public logs for ever; an error stops it. Nil agrees.
	Confirm func(ctx context.Context, who string) error
	// Later gets the certificate of a keyless signer when it first signs, and
	// not at once.
	Later bool
}

// NewSigner makes a signer of an EC, RSA or Ed25519 key of package crypto, which
// may be that of a hardware module.
func NewSigner(key crypto.Signer) (*Signer, error) {
	signer, err := newMessageSigner(key)
	if err != nil {
		return nil, err
	}
	return &Signer{key: signer}, nil
}

// LoadSigner opens a private key, or gets a certificate. The error is an
// entry.ErrInvalid for what is no key, signing config or token, an
// entry.ErrUnauthorized where a token is missing or refused, and an
// entry.ErrUnreachable or entry.ErrTimeout where a service could not be asked.
func LoadSigner(ctx context.Context, options SignerOptions) (*Signer, error) {
	if options.Key == "" {
		return options.loadKeyless(ctx)
	}
	loader, err := options.keyLoader()
	if err != nil {
		return nil, err
	}
	key, err := loader.signer(ctx, options.Key, func() ([]byte, error) {
		if options.Password == nil {
			return []byte(options.getenv("COSIGN_PASSWORD")), nil
		}
		return options.Password(ctx)
	})
	if err != nil {
		return nil, err
	}
	signer := &Signer{key: key}
	if options.SigningConfig != nil {
		signer.services, err = parseSigningConfig(options.SigningConfig, loader.transport, options.now())
	}
	return signer, err
}

func (o SignerOptions) loadKeyless(ctx context.Context) (*Signer, error) {
	how := keylessOptions{Root: o.Root, Now: o.Now}
	transport, err := o.transport()
	if err == nil && o.SigningConfig != nil {
		how.Services, err = parseSigningConfig(o.SigningConfig, transport, o.now())
	} else if err == nil {
		var from *instance
		if from, transport, err = o.openInstance(ctx); err == nil {
			how.Root, err = from.root()
		}
		if err == nil {
			how.Services, err = from.services(transport, o.now())
		}
	}
	if err != nil {
		return nil, err
	}
	how.Token = o.confirmed(o.token(how.Services, transport))
	key, err := newKeyless(how)
	if err == nil && !o.Later {
		err = key.certify(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &Signer{Keyless: true, key: key}, nil
}

// token returns what finds the identity token.
func (o SignerOptions) token(services *services, transport http.RoundTripper) func(context.Context) (string, error) {
	if o.Token != nil {
		return o.Token
	}
	return func(ctx context.Context) (string, error) {
		if o.Getenv != nil {
			if token, err := ambientToken(ctx, o.Getenv, os.ReadFile, transport); token != "" || err != nil {
				return token, err
			}
		}
		if o.Login == nil {
			return "", ErrNoToken
		}
		return deviceToken(ctx, services, o.Login)
	}
}

// confirmed returns what finds a token and then has it confirmed, once.
func (o SignerOptions) confirmed(find func(context.Context) (string, error)) func(context.Context) (string, error) {
	if o.Confirm == nil {
		return find
	}
	asked := false
	return func(ctx context.Context) (string, error) {
		token, err := find(ctx)
		if err != nil || asked {
			return token, err
		}
		who, err := tokenSubject(token)
		if err != nil {
			return "", err
		}
		asked = true
		return token, o.Confirm(ctx, who)
	}
}

// PublicKey returns the key that checks the signatures. Keyless, it lives as long
// as the process.
func (s *Signer) PublicKey() *PublicKey { return s.key.PublicKey() }

// String says in a few words who signs.
func (s *Signer) String() string { return describeSigner(s.key) }

// Sign makes a signature of a digest. reference is the
// repository that it will be stored in; only the legacy format notes it, for
// people. What the services answered and the trusted root does not verify is an
// entry.ErrUntrusted.
func (s *Signer) Sign(ctx context.Context, format Format, d digest.Digest, reference string) (signature.Signature, error) {
	return signDigest(ctx, s.key, s.services, format, d, reference)
}
