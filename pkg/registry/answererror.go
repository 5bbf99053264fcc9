package registry

import "errors"

// Cause is why a registry could not be made to do what it was asked, as far as
// it matters for what helps.
type Cause string

// The causes that somebody can do something about.
const (
	CauseOther             Cause = ""
	CauseNoLogin           Cause = "no login"           // one is wanted, and none is stored
	CauseRefused           Cause = "refused"            // the account may not do this
	CauseProxy             Cause = "proxy"              // the proxy wants another login
	CauseClientCertificate Cause = "client certificate" // another one is wanted
	CauseCertificate       Cause = "certificate"        // the registry's is not trusted
	CausePlainHTTP         Cause = "plain HTTP"         // the registry does not speak TLS
	CauseReadOnly          Cause = "read-only"          // the registry takes no writes
	CausePath              Cause = "path"               // nothing can be written there
	CauseHidden            Cause = "hidden"             // a 404 that is not in the words of a registry
)

// AnswerError is what a registry answered, or why it gave no answer, for callers
// who help people with it. It wraps one of the kinds of package entry.
type AnswerError struct {
	Cause      Cause
	Repository string // HOST/REPOSITORY, as it was named
	Host       string
	Status     int    // of the answer; 0 where there was none
	Words      string // the answer's own, in one line and without secrets; "" for none
	Account    string // who was asked as, and where that is stored; "anonymous" for nobody
	Option     string // the field of Options that is wrong; "" for none
	page       bool   // an HTML page: no registry's word
	err        error
}

// Error names the operation, what was asked, and what was answered.
func (e *AnswerError) Error() string { return e.err.Error() }

// Unwrap returns the kind, among others.
func (e *AnswerError) Unwrap() error { return e.err }

// HidesAbsence reports whether an error may mean that something does not exist,
// to somebody who knows from elsewhere that the registry lets this account in:
// some registries refuse what is not there.
func HidesAbsence(err error) bool {
	var answer *AnswerError
	return errors.As(err, &answer) && (answer.Cause == CauseRefused || answer.Cause == CauseNoLogin)
}

// LacksReferrers reports whether an error of Referrers tells somebody who is
// about to write that there is no Referrers API, and nothing in its place.
func LacksReferrers(err error) bool {
	var answer *AnswerError
	return errors.As(err, &answer) && lacksAPIStatus(answer.Status) && !answer.page && answer.Cause != CauseRefused
}

// answered makes the error of an answer.
func (r *remoteRepository) answered(cause Cause, answer *refusal, err error) error {
	e := &AnswerError{Cause: cause, Repository: r.base, Host: r.host, Account: r.login.accountName(), err: err}
	if answer != nil {
		e.Status, e.page = answer.status, answer.page
		if !answer.page {
			e.Words = printable(r.login.secrets.redact(answer.text))
		}
	}
	return e
}
