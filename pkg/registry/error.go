package registry

import (
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// Cause is why a registry could not be made to do what it was asked, as far as
// it matters for what helps.
type Cause string

// The causes that somebody can do something about; "" is any other.
const (
	CauseNoLogin           Cause = "no login"           // one is wanted, and none is stored
	CauseRefused           Cause = "refused"            // the account may not do this
	CauseProxy             Cause = "proxy"              // the proxy wants another login
	CauseClientCertificate Cause = "client certificate" // another one is wanted
	CauseCertificate       Cause = "certificate"        // the registry's is not trusted
	CausePlainHTTP         Cause = "plain HTTP"         // the registry does not speak TLS
	CauseReadOnly          Cause = "read-only"          // the registry takes no writes
	CausePath              Cause = "path"               // nothing can be written there
	CauseHidden            Cause = "hidden"             // a 404 that is not in the words of a registry
	CauseThrottled         Cause = "throttled"          // it answers, but not so many requests
)

// Error is what went wrong with a repository, for callers who help people with
// it. It wraps one of the kinds of package entry, or context.Canceled.
type Error struct {
	Cause      Cause
	Repository string // HOST/REPOSITORY, as it was named; "" for a layout
	Host       string // of the registry; "" for a layout
	Status     int    // of the registry's answer; 0 where there was none
	Words      string // the answer's own, in one line and without secrets; "" for none
	Account    string // who was asked as, and where that is stored; "anonymous" for nobody

	Layout string   // the directory, of an image layout
	Names  []string // the images in it of which one must be named: tags, or digests after an @; … ends a list that goes on

	Option string // the field of Options that is wrong, or of those of package server; "" for none

	Err error // operation, object and reason, for people
}

// Error names the operation, what was asked, and what was answered.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// answered makes the error of an answer; nil is none.
func (r *remoteRepository) answered(cause Cause, answer *refusal, err error) error {
	e := &Error{Cause: cause, Repository: r.base, Host: r.host, Account: r.login.accountName(), Err: err}
	if answer != nil {
		e.Status = answer.status
		if !answer.page {
			e.Words = printable(r.login.secrets.redact(answer.text))
		}
	}
	switch {
	case cause == CauseRefused, cause == CauseNoLogin:
		e.Err = hinting{err, absence.ErrHidden}
	case answer != nil && lacksAPI(answer):
		e.Err = hinting{err, absence.ErrNoReferrersAPI}
	}
	return e
}

// hinting is an error that wraps a further one, of which its text does not speak.
type hinting struct {
	error
	further error
}

func (h hinting) Unwrap() []error { return []error{h.error, h.further} }
