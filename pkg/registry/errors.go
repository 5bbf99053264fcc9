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

// errRefused is what a registry that was asked for something it does not do
// answers. It has no kind that a caller could act upon.
var errRefused = errors.New("the registry refused")

// classify gives an error of the transport the kind that its cause has, and a
// text that names the operation and the host, never a query string: those hold
// tokens. What cannot be told apart is ErrUnreachable: the registry's answer
// was no answer, so nothing can be said.
func classify(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{entry.ErrInvalid, entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout, errRefused} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", operation, err)
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
		return classifyStatus(operation, response)
	}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("%s: %w", operation, entry.ErrNotFound)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%s: %w: the registry asks for a login and none is stored for it", operation, entry.ErrUnauthorized)
	}
	return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, reason(err))
}

func classifyStatus(operation string, response *errcode.ErrorResponse) error {
	text := http.StatusText(response.StatusCode)
	if len(response.Errors) > 0 {
		text = response.Errors.Error()
	}
	where := printable(fmt.Sprintf("%s %s%s: %d: %s", response.Method, response.URL.Host, response.URL.Path, response.StatusCode, text))
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnauthorized, where)
	case status == http.StatusNotFound && isAPI(response.URL):
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrNotFound, where)
	case status == http.StatusNotFound, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, where)
	}
	return fmt.Errorf("%s: %w: %s", operation, errRefused, where)
}

// isAPI tells a registry's own routes from those of a token service or a blob
// storage, whose 404 is not the registry's word.
func isAPI(asked *url.URL) bool { return strings.HasPrefix(asked.Path, "/v2/") }

// query is what follows the path in the URLs that error texts quote.
var query = regexp.MustCompile(`\?[^\s"'<>]*`)

// reason is the innermost useful text of a transport error, without queries.
func reason(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return printable(query.ReplaceAllString(err.Error(), ""))
}

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
