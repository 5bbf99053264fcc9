package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Diagnosis is what Client.Diagnose has found out about a repository.
type Diagnosis struct {
	Findings []Finding
	Account  string   // who was asked as, and where that is stored; "anonymous" for nobody, "" for a layout
	Requests int      // how many were sent, those for tokens and repeated ones included
	Left     []string // references of what was written and could not be deleted
}

// Finding is one thing that registries differ in, and how this one does it.
type Finding struct {
	Feature  string // such as "delete"
	Support  string // yes, no or unknown
	Quirk    string // how it differs from what the specification says, in one line; "" is not at all
	Handling string // what this package does about the quirk
}

const (
	supported   = "yes"
	unsupported = "no"
	unknown     = "unknown"
)

const (
	// maxAsked bounds the requests of one diagnosis, and maxProbed those before
	// what was written is deleted.
	maxAsked  = 40
	maxProbed = 30
	// cleaning bounds the deletions, also where the time for the rest has run out.
	cleaning = 15 * time.Second
)

// Diagnose finds out how a registry differs from others, and what is done about
// it. It writes a few manifests under tags that begin with caib-doctor-, which
// mean nothing to a catalog, and deletes them again; it sends at most 40 requests.
// To a layout nothing is written. The error is why no catalog can live there; the
// diagnosis says what was found until then.
func (c *Client) Diagnose(ctx context.Context, ref Reference) (Diagnosis, error) {
	repository, err := c.Open(ref)
	if err != nil {
		return Diagnosis{}, err
	}
	remote, ok := repository.(*remoteRepository)
	if !ok {
		return diagnoseLayout(ctx, repository)
	}
	remote.ExpectPush()
	t := &trial{r: remote, scratch: "caib-doctor-" + strings.ToLower(rand.Text())[:12], asked: &allowance{left: maxProbed}}
	err = t.run(context.WithValue(ctx, allowanceKey{}, t.asked))
	t.asked.allow(maxAsked - maxProbed)
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	t.clean(context.WithValue(clean, allowanceKey{}, t.asked))
	t.answers()
	return Diagnosis{Findings: t.findings, Account: remote.login.accountName(), Requests: t.asked.sent, Left: t.left}, err
}

func diagnoseLayout(ctx context.Context, repository Repository) (Diagnosis, error) {
	var d Diagnosis
	_, err := repository.Tags(ctx)
	for _, step := range []struct {
		feature string
		do      func() error
	}{
		{"tag list", func() error { return err }},
		{"writing", func() error { return repository.(checked).CanPush(ctx) }},
	} {
		if err = step.do(); err != nil {
			d.Findings = append(d.Findings, Finding{step.feature, verdict(err), wordsOf(err), ""})
			return d, err
		}
		d.Findings = append(d.Findings, Finding{step.feature, supported, "", ""})
	}
	d.Findings = append(d.Findings,
		Finding{"referrers", supported, "a directory lists none", "the manifests are read"},
		Finding{"delete", supported, "the bytes of what is deleted stay", "nothing: only copies of the directory would be smaller"})
	return d, nil
}

// allowance counts the requests of a diagnosis, and ends it.
type allowance struct {
	mu        sync.Mutex
	left      int
	sent      int
	throttled int // were answered by 429
	failed    int // and by 5xx, or not at all
}

type allowanceKey struct{}

// errSpent is that a diagnosis may not ask more. No request is sent again for it.
var errSpent = fmt.Errorf("%w: as many requests were sent as one diagnosis may send", entry.ErrUnreachable)

func (a *allowance) allow(more int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += more
}

func (a *allowance) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left == 0 {
		return false
	}
	a.left--
	a.sent++
	return true
}

func (a *allowance) note(response *http.Response, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil && response.StatusCode == http.StatusTooManyRequests:
		a.throttled++
	case err != nil, response.StatusCode >= 500:
		a.failed++
	}
}

// allowances holds the requests of a diagnosis to its allowance.
type allowances struct{ base http.RoundTripper }

func (a *allowances) RoundTrip(request *http.Request) (*http.Response, error) {
	allowed, ok := request.Context().Value(allowanceKey{}).(*allowance)
	if !ok {
		return a.base.RoundTrip(request)
	}
	if !allowed.take() {
		return nil, errSpent
	}
	response, err := a.base.RoundTrip(request)
	allowed.note(response, err)
	return response, err
}

// verdict is what an error says of a feature: that it is not there, or nothing.
func verdict(err error) string {
	var answer *refusal
	switch {
	case err == nil:
		return supported
	case errors.As(err, &answer) && answer.status < 500 && !answer.isThrottled(),
		errors.Is(err, entry.ErrUnauthorized), errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrMalformed):
		return unsupported
	}
	return unknown
}

// wordsOf is an error in a few words.
func wordsOf(err error) string {
	var answer *refusal
	var classified *Error
	switch {
	case errors.As(err, &classified) && classified.Words != "":
		return fmt.Sprintf("%d: %s", classified.Status, classified.Words)
	case errors.As(err, &classified) && classified.Status != 0:
		return fmt.Sprintf("%d", classified.Status)
	case errors.As(err, &classified):
		return "no answer that says anything"
	case errors.As(err, &answer) && answer.text != "" && !answer.page:
		return printable(fmt.Sprintf("%d: %s", answer.status, answer.text))
	case errors.As(err, &answer):
		return fmt.Sprintf("%d", answer.status)
	case errors.Is(err, errSpent):
		return "not asked: too many requests were needed before"
	}
	return printable(err.Error())
}
