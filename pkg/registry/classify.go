package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"unicode"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// errRefused is what a registry answers that finds something wrong with what it
// was sent. Asking again changes nothing.
var errRefused error = refusedError{}

type refusedError struct{}

func (refusedError) Error() string        { return "the registry refused" }
func (refusedError) Is(target error) bool { return target == entry.ErrMalformed }

// classify gives an error of the transport the kind that its cause has, and a
// text that names the operation and the host, never a query string, nor a
// secret that a stranger repeats. A refusal names the account that was refused.
// What cannot be told apart is ErrUnreachable: the registry's answer was no
// answer, so nothing can be said.
func (r *remoteRepository) classify(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	operation = printable(operation) // it may name a digest that a stranger wrote
	for _, kind := range []error{entry.ErrInvalid, entry.ErrMalformed, entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrUnreachable, entry.ErrTimeout} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", operation, shortened(r.login.failure(err)))
		}
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return hinting{fmt.Errorf("%s: %w", operation, entry.ErrTimeout), context.DeadlineExceeded}
		}
		return fmt.Errorf("%s: %w", operation, context.Cause(ctx))
	}
	var answer *refusal
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		return r.classifyStatus(operation, tokenRefusal(response))
	} else if errors.As(err, &answer) {
		return r.classifyStatus(operation, answer)
	}
	return r.classifyFailure(operation, err)
}

// classifyFailure gives a request its meaning that got no answer, or none that
// it could go on from.
func (r *remoteRepository) classifyFailure(operation string, err error) error {
	said := printable(r.login.failure(err).Error())
	var member *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	if errors.As(err, &member) || errors.As(err, &syntax) { // of oras-go, in the words of Go
		said = "the token service gives no token that can be read"
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return r.answered(CauseNoLogin, nil, fmt.Errorf("%s: %w: the registry asks for a login and none is stored for it (%s)", operation, entry.ErrUnauthorized, r.login.as()))
	case clientCertificate(err):
		return r.answered(CauseClientCertificate, nil, fmt.Errorf("%s: %w: the registry wants another client certificate: %s", operation, entry.ErrUnauthorized, said))
	case errors.Is(err, errNoPassword):
		return r.answered(CauseRefused, nil, fmt.Errorf("%s: %w: the registry asks for a user and a password, and only a token is stored for it (%s)", operation, entry.ErrUnauthorized, r.login.as()))
	}
	var cause Cause
	switch {
	case errors.As(err, &certificate):
		cause = CauseCertificate
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		cause = CausePlainHTTP
	}
	failed := fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, said)
	if isTimeout(err) {
		failed = hinting{failed, context.DeadlineExceeded}
	}
	if errors.Is(err, absence.ErrAltered) {
		failed = hinting{failed, absence.ErrAltered}
	}
	return r.answered(cause, nil, failed)
}

// classifyStatus gives a status its meaning (SPEC section 11).
func (r *remoteRepository) classifyStatus(operation string, answer *refusal) error {
	status, isAPI := answer.status, r.isAPI(answer.url)
	text := http.StatusText(status)
	switch {
	case answer.text != "":
		text = answer.text
	case answer.unread && status == http.StatusNotFound:
		text += ", in an answer that is cut off or too long to be read"
	}
	where := fmt.Sprintf("%s %s%s: %d: %s", answer.method, answer.url.Host, answer.url.Path, answer.status, text)
	where = printable(r.login.secrets.redact(where))
	isPush := isAPI && (answer.method == http.MethodPut || answer.method == http.MethodPost)
	// A token service answers an identity token that it does not take by 400
	// (RFC 6749, section 5.2); nobody else is sent a form.
	refusedToken := status == http.StatusBadRequest && answer.method == http.MethodPost && !isAPI
	cause, err := Cause(""), error(nil)
	switch {
	case status == http.StatusProxyAuthRequired:
		cause, err = CauseProxy, fmt.Errorf("%s: %w: the proxy wants another login: %s", operation, entry.ErrUnauthorized, where)
	case answer.isThrottled():
		cause, err = CauseThrottled, fmt.Errorf("%s: %w: throttled: %s", operation, entry.ErrUnreachable, where)
	case isPush && isReadOnly(answer):
		cause, err = CauseReadOnly, fmt.Errorf("%s: %w: the registry takes no writes: it is read-only, or a cache: %s (%s)", operation, entry.ErrUnauthorized, where, r.login.as())
	case isPush && status == http.StatusNotFound:
		cause, err = CausePath, fmt.Errorf("%s: %w: check the path: %s", operation, entry.ErrNotFound, where)
	case answer.isForbidden(), refusedToken:
		cause, err = CauseRefused, fmt.Errorf("%s: %w: %s (%s)", operation, entry.ErrUnauthorized, where, r.login.as())
	case isAPI && answer.isAbsence() && (answer.text == "" || len(answer.codes) > 0):
		err = fmt.Errorf("%s: %w", operation, entry.ErrNotFound)
	case isAPI && answer.isAbsence():
		err = fmt.Errorf("%s: %w: %s", operation, entry.ErrNotFound, where)
	case isAPI && (isPush || answer.method == http.MethodDelete) && status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		err = fmt.Errorf("%s: %w: %s", operation, errRefused, where)
	default:
		err = fmt.Errorf("%s: %w: %s", operation, entry.ErrUnreachable, where)
	}
	return r.answered(cause, answer, err)
}

// isReadOnly reports whether a registry refuses a write as it refuses all.
func isReadOnly(answer *refusal) bool {
	return answer.status == http.StatusMethodNotAllowed || answer.status == http.StatusNotImplemented ||
		answer.says(errcode.ErrorCodeUnsupported, "READ_ONLY", "READ_ONLY_MODE", "READONLY")
}

// isTimeout reports whether a request failed since the time for it, or for one of
// its steps, ran out.
func isTimeout(err error) bool {
	var own *exchangeError
	if errors.As(err, &own) { // url.Error asks no deeper than this
		err = own.err
	}
	var step net.Error
	return errors.Is(err, errNoAnswer) || errors.As(err, &step) && step.Timeout()
}

// clientCertificate reports whether a registry ended a TLS handshake because of
// the certificate it was shown, or not shown: by an alert (RFC 8446, section 6),
// for which Go exports no type.
func clientCertificate(err error) bool {
	var ended *net.OpError
	if !errors.As(err, &ended) || ended.Op != "remote error" {
		return false
	}
	alert := reflect.ValueOf(ended.Err)
	if alert.Kind() != reflect.Uint8 {
		return false
	}
	switch alert.Uint() {
	case 41, 42, 43, 44, 45, 46, 48, 111, 113, 114, 116: // each speaks of a certificate
		return true
	}
	return false
}

// address and query are the parts of a URL that may hold secrets: user, path
// and query in a whole one, and the query in one that is not.
var (
	address = regexp.MustCompile(`://(?:[^\s"'<>/?#@]*@)*([^\s"'<>/?#]*)[^\s"'<>]*`)
	query   = regexp.MustCompile(`\?[^\s"'<>]*`)
)

// shortened is an error whose text is printable.
func shortened(err error) error {
	if text := printable(err.Error()); text != err.Error() {
		return redacted{err, text}
	}
	return err
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
