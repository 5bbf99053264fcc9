package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// login is how one repository logs in: its account, and tokens that serve no
// other repository. oras-go keys both by host, which would hand the account of
// host/a to host/b; a client of its own for each repository keeps them apart.
// That client answers challenges of the registry's own host only, drops
// Authorization when a redirect leaves the origin or the repository, and sends a password to a
// token service on another host if the registry names one, as docker does, but
// never by plain HTTP where the registry itself is asked by HTTPS.
type login struct {
	host    string // as requests name it
	find    func(context.Context) (Account, error)
	secrets *secrets
	client  *auth.Client
	tokens  *tokenCache
	pushes  atomic.Bool // tokens are asked for pulling and pushing at once
	only    atomic.Bool // the token service gives none for that, only for pulling

	mu      sync.Mutex
	account Account // the last one found; anonymous until the registry asked
}

func newLogin(host, repository string, find func(context.Context) (Account, error), transport http.RoundTripper, userAgent string, known *secrets) *login {
	l := &login{host: host, find: find, secrets: known, tokens: newTokenCache()}
	l.client = &auth.Client{
		Client: &http.Client{Transport: &challenges{base: transport, login: l}, CheckRedirect: leaving(repository)},
		Cache:  l.tokens, Credential: l.credential, ClientID: userAgent,
	}
	l.client.SetUserAgent(userAgent)
	return l
}

// maxRedirects bounds the redirects that one request follows.
const maxRedirects = 10

// leaving keeps a login in its repository: a request that a redirect leads to
// another one of the same registry goes on without.
func leaving(repository string) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, before []*http.Request) error {
		if len(before) >= maxRedirects {
			return fmt.Errorf("stopped after %d redirects", maxRedirects)
		}
		if isRepository(before[0]) && isForeign(repository, next.URL) {
			next.Header.Del("Authorization")
		}
		return nil
	}
}

// credentialError is why there is no account to log in with. It says all there
// is to say.
type credentialError struct{ error }

func (e *credentialError) Unwrap() error { return e.error }

// errNoPassword: a registry asks for a user and a password, and only a token is
// stored for it.
var errNoPassword = errors.New("no password is stored")

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
	noPassword := account.Username == "" || account.Password == ""
	if noPassword && !account.anonymous() && attemptOf(ctx) != nil && attemptOf(ctx).answering == schemeBasic {
		return auth.EmptyCredential, errNoPassword
	}
	return auth.Credential{
		Username: account.Username, Password: account.Password,
		RefreshToken: account.IdentityToken, AccessToken: account.RegistryToken,
	}, nil
}

// do sends a request with a token that allows some actions on the repository:
// with those that the command will need later too, so that one token serves
// it all. Of several challenges the best is answered, and if that leads to
// nothing, the next.
func (l *login) do(request *http.Request, repository string, actions ...string) (*http.Response, error) {
	wanted := append([]string{auth.ActionPull}, actions...)
	ahead := len(actions) == 0 && l.pushes.Load() && !l.only.Load()
	if ahead {
		wanted = append(wanted, auth.ActionPush)
	}
	response, err := l.try(request, repository, wanted)
	if ahead && refusedTo(err) {
		l.only.Store(true)
		response, err = l.try(request, repository, wanted[:1])
	}
	return response, err
}

// refusedTo reports whether a token service refuses to give a token.
func refusedTo(err error) bool {
	var response *errcode.ErrorResponse
	return errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden)
}

func (l *login) try(request *http.Request, repository string, actions []string) (*http.Response, error) {
	further := auth.GetScopesForHost(request.Context(), l.host) // for another repository, which a blob is mounted from
	a := &attempt{actions: slices.Concat(actions, further)}
	for {
		ctx := context.WithValue(request.Context(), attemptKey{}, a)
		ctx = auth.AppendScopesForHost(ctx, l.host, auth.ScopeRepository(repository, actions...))
		again, err := rewound(request, ctx)
		if err != nil {
			return nil, err
		}
		response, err := l.client.Do(again)
		failed := err != nil && (refusedTo(err) || a.answering == schemeBearer && !errors.Is(err, ctx.Err()))
		if !failed && (err != nil || response.StatusCode != http.StatusUnauthorized) || !a.next() || ctx.Err() != nil {
			return response, err
		}
		if response != nil {
			response.Body.Close()
		}
		l.tokens.forget()
	}
}

// rewound is a request with its body from the start.
func rewound(request *http.Request, ctx context.Context) (*http.Request, error) {
	again := request.Clone(ctx)
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return again, nil
}

// as names who the repository was asked as: if as nobody, with the logins that
// could not be read.
func (l *login) as() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.account.anonymous() {
		return strings.Join(append([]string{l.account.String()}, l.account.Problems...), "; ")
	}
	return "as " + l.account.String()
}

// used reports whether there is a login and it was given to the registry.
func (l *login) used() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.account.anonymous()
}

// accountName names the account that the repository was asked as.
func (l *login) accountName() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account.String()
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
