package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
)

// classify gives an error of the transport the kind that its cause has, and a
// text that names the operation and the host, never a query string: those hold
// tokens. What cannot be told apart is ErrUnreachable: the registry's answer
// was no answer, so nothing can be said.
func classify(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{entry.ErrInvalid, entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout} {
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
	const most = 500
	if len(text) > most {
		text = text[:most] + "…"
	}
	where := fmt.Sprintf("%s %s%s: %d: %s", response.Method, response.URL.Host, response.URL.Path, response.StatusCode, text)
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnauthorized, where)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrNotFound, where)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, where)
	}
	return fmt.Errorf("%s: the registry refused: %s", operation, where)
}

// reason is the innermost useful text of a transport error, without the URL's
// query that net/url would print.
func reason(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}
