package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

const (
	maxAnswer      = 1 << 20     // bytes of the answer of a service
	serviceTimeout = time.Minute // of one request
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// serviceClient returns a client for sigstore's packages, which take no context and
// tell failures by their text. It adds the caller's context, a time-out and a
// bound on the answer, and returns errors of a kind: an answer whose status is
// not among those wanted is an entry.ErrUnauthorized or entry.ErrUnreachable.
func serviceClient(ctx context.Context, base http.RoundTripper, what string, wanted ...int) *http.Client {
	return &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		limited, cancel := context.WithTimeoutCause(ctx, serviceTimeout, fmt.Errorf("%w: no answer within %s", entry.ErrUnreachable, serviceTimeout))
		defer cancel()
		response, err := fetch(base.RoundTrip, request.WithContext(limited), maxAnswer)
		if err == nil {
			err = statusError(request, response, wanted)
		}
		if limited.Err() != nil {
			err = context.Cause(limited)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", what, request.URL.Host, err)
		}
		return response, nil
	})}
}

// fetch sends a request and reads the whole answer of at most limit bytes.
func fetch(do roundTrip, request *http.Request, limit int64) (*http.Response, error) {
	response, err := do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", entry.ErrUnreachable, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %v", entry.ErrUnreachable, err)
	case int64(len(answer)) > limit:
		return nil, fmt.Errorf("%w: an answer of more than %d bytes", entry.ErrUnreachable, limit)
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, nil
}

// statusError reports an answer whose status is not wanted, with its text but
// for the token of the request: proxies show what they were sent.
func statusError(request *http.Request, response *http.Response, wanted []int) error {
	for _, status := range wanted {
		if response.StatusCode == status {
			return nil
		}
	}
	answer, _ := io.ReadAll(response.Body) // in memory
	text := string(answer)
	if _, token, _ := strings.Cut(request.Header.Get("Authorization"), " "); token != "" {
		text = strings.ReplaceAll(text, token, "***")
	}
	kind := entry.ErrUnreachable
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		kind = entry.ErrUnauthorized
	}
	return fmt.Errorf("%w: %d: %s", kind, response.StatusCode, signature.Printable(text))
}

// serviceError returns the client's error from what a package made of it, and
// others that are of a kind as they are. Any other says that an answer makes no
// sense.
func serviceError(what string, err error) error {
	var carried *url.Error
	if errors.As(err, &carried) {
		return carried.Err // without the address
	}
	for _, kind := range []error{entry.ErrInvalid, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrConflict} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%s: %w: %s", what, entry.ErrUnreachable, signature.Printable(err.Error()))
}
