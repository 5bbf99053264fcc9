package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// login is how one repository logs in: its account, and tokens that serve no
// other repository. oras-go keys both by host, which would hand the account of
// host/a to host/b; a client of its own for each repository keeps them apart.
// That client answers challenges of the registry's own host only, drops
// Authorization when a redirect leaves the origin, and sends a password to a
// token service on another host if the registry names one, as docker does, but
// never by plain HTTP where the registry itself is asked by HTTPS.
type login struct {
	host    string // as requests name it
	find    func(context.Context) (Account, error)
	secrets *secrets
	client  *auth.Client

	mu      sync.Mutex
	account Account // the last one found; anonymous until the registry asked
}

func newLogin(host string, find func(context.Context) (Account, error), transport http.RoundTripper, userAgent string, known *secrets) *login {
	l := &login{host: host, find: find, secrets: known}
	l.client = &auth.Client{
		Client: &http.Client{Transport: transport}, Cache: auth.NewCache(), Credential: l.credential, ClientID: userAgent,
	}
	l.client.SetUserAgent(userAgent)
	return l
}

// credentialError is why there is no account to log in with. It says all there
// is to say.
type credentialError struct{ error }

func (e *credentialError) Unwrap() error { return e.error }

func (l *login) credential(ctx context.Context, host string) (auth.Credential, error) {
	if host != l.host {
		return auth.EmptyCredential, nil
	}
	account, err := l.find(ctx)
	if err != nil {
		return auth.EmptyCredential, &credentialError{err}
	}
	l.secrets.account(account)
	l.mu.Lock()
	l.account = account
	l.mu.Unlock()
	return auth.Credential{
		Username: account.Username, Password: account.Password,
		RefreshToken: account.IdentityToken, AccessToken: account.RegistryToken,
	}, nil
}

// as names who the repository was asked as.
func (l *login) as() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.account.Anonymous() {
		return l.account.String()
	}
	return "as " + l.account.String()
}

// failure is the innermost error of a request that says what was wrong, with
// what it must not show masked.
func (l *login) failure(err error) error {
	var own *credentialError
	var failed *url.Error
	if errors.As(err, &own) {
		err = own.error
	} else if errors.As(err, &failed) {
		err = failed.Err
	}
	return l.secrets.failure(err)
}
