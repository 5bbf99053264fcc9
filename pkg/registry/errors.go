package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
)

// ErrThrottled is why a registry is entry.ErrUnreachable that answers, but not
// so many requests.
var ErrThrottled = errors.New("throttled")

// errRefused is what a registry that was asked for something it does not do
// answers. It has no kind that a caller could act upon.
var errRefused = errors.New("the registry refused")

// classify gives an error of the transport the kind that its cause has, and a
// text that names the operation and the host, never a query string, nor a
// secret that a stranger repeats. A refusal names the account that was refused.
// What cannot be told apart is ErrUnreachable: the registry's answer was no
// answer, so nothing can be said.
func (r *remoteRepository) classify(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{entry.ErrInvalid, entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout, errRefused} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", operation, r.login.failure(err))
		}
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", operation, entry.ErrTimeout)
		}
		return fmt.Errorf("%s: %w", operation, context.Cause(ctx))
	}
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		return r.classifyStatus(operation, response)
	}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("%s: %w", operation, entry.ErrNotFound)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%s: %w: the registry asks for a login and none is stored for it (%s)", operation, entry.ErrUnauthorized, r.login.as())
	case clientCertificate(err):
		return fmt.Errorf("%s: %w: the registry wants another client certificate: %s", operation, entry.ErrUnauthorized, printable(r.login.failure(err).Error()))
	case strings.Contains(err.Error(), "missing username or password"): // oras-go has no name for it
		return fmt.Errorf("%s: %w: the registry asks for a user and a password, and only a token is stored for it (%s)", operation, entry.ErrUnauthorized, r.login.as())
	}
	return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, printable(r.login.failure(err).Error()))
}

func (r *remoteRepository) classifyStatus(operation string, response *errcode.ErrorResponse) error {
	text := http.StatusText(response.StatusCode)
	if len(response.Errors) > 0 {
		text = response.Errors.Error()
	}
	where := fmt.Sprintf("%s %s%s: %d: %s", response.Method, response.URL.Host, response.URL.Path, response.StatusCode, text)
	where = printable(r.login.secrets.redact(where))
	status := response.StatusCode
	// A token service answers an identity token that it does not take by 400
	// (RFC 6749, section 5.2); nobody else is sent a form.
	refusedToken := status == http.StatusBadRequest && response.Method == http.MethodPost && !r.isAPI(response.URL)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, refusedToken:
		return fmt.Errorf("%s: %w: %s (%s)", operation, entry.ErrUnauthorized, where, r.login.as())
	case status == http.StatusProxyAuthRequired:
		return fmt.Errorf("%s: %w: the proxy wants another login: %s", operation, entry.ErrUnauthorized, where)
	case status == http.StatusNotFound && r.isAPI(response.URL):
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrNotFound, where)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: %w: %w: %s", operation, entry.ErrUnreachable, ErrThrottled, where)
	case status == http.StatusNotFound, status == http.StatusRequestTimeout, status >= 500:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, where)
	}
	return fmt.Errorf("%s: %w: %s", operation, errRefused, where)
}

// clientCertificate tells a TLS handshake that the registry ended because of
// the certificate it was shown, or not shown. Go's alerts have no type to match.
func clientCertificate(err error) bool {
	text := err.Error()
	return strings.Contains(text, "remote error: tls:") && strings.Contains(text, "certificate")
}

// isAPI tells the repository's own routes from those of a token service, which
// some registries have below /v2/ too, or of a blob storage: their 404 is not
// the registry's word.
func (r *remoteRepository) isAPI(asked *url.URL) bool {
	return strings.HasPrefix(asked.Path, "/v2/"+r.oras.Reference.Repository+"/")
}

// address and query are the parts of a URL that may hold secrets: user, path
// and query in a whole one, and the query in one that is not.
var (
	address = regexp.MustCompile(`://(?:[^\s"'<>/?#@]*@)*([^\s"'<>/?#]*)[^\s"'<>]*`)
	query   = regexp.MustCompile(`\?[^\s"'<>]*`)
)

// printable makes one line of bounded length of what a stranger wrote.
func printable(text string) string {
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
