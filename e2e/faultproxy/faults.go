// Package faultproxy stands before a registry and makes it behave like the
// difficult ones: one switch a quirk, set and changed while it runs.
package faultproxy

import (
	"net/http"
	"strings"
	"time"
)

// Faults are the switches. The zero value passes everything through.
type Faults struct {
	PageSize       int           // tag lists come in pages with a Link (GHCR, Quay: 100)
	MaxN           int           // a tag list with a larger n is refused with 413 (Quay: 100)
	UnknownLast404 bool          // a tag list after a tag that does not exist is a 404 (zot)
	NoDelete       bool          // DELETE is a 405 (GHCR)
	NoReferrers    bool          // the Referrers API is a 404 (distribution, GHCR, GitLab)
	StrictSubject  bool          // a manifest whose subject is not in the repository is a 400 (Quay)
	MaxAnnotation  int           // a manifest with a longer annotation value is a 400 (GHCR: 256)
	ReadLag        time.Duration // a tag that was written shows up only this much later (GHCR)
	// Now is the clock of ReadLag, called from several goroutines; nil is
	// time.Now.
	Now func() time.Time
	// HideTags leaves tags out of lists, silently: a list that is cut short
	// (Artifactory's remote repositories) or rolled back.
	HideTags func(tag string) bool
	// ReferrersType is the media type of lists of referrers (Harbor:
	// application/json); "" is the registry's.
	ReferrersType string
	Link          string   // the form of a Link, with %s for its query; "" is that of the specification
	NoLength      bool     // HEAD says no size
	ZeroLength    bool     // HEAD says that the size is 0
	PutStatus     int      // a manifest that was stored is answered by this status, not 201
	ReadOnly      bool     // writes are a 405 (caches, and registries that are read-only)
	ForbidAbsent  bool     // a tag that does not exist is a 403 (Artifactory)
	Strangers404  bool     // without a login all but the base URL is a 404
	Challenges    []string // challenges before the registry's own
	OneHeader     bool     // all challenges are in one header
	Scope         string   // the scope of challenges (Gitea: *); "" is the registry's
	Rules         []*Rule  // the first that matches acts
}

// Rule is a fault of single exchanges.
type Rule struct {
	Match func(*http.Request) bool // nil matches every request
	Times int                      // how often it acts; 0 is always
	Do    Action

	acted int
}

// Action is what happens instead of, or to, the answer.
type Action struct {
	Status     int           // answer this instead, with an error body
	Body       string        // with Status: this body instead of that
	Type       string        // of Body; "" is application/json
	RetryAfter string        // with Status: the header's value
	HTML       bool          // answer an HTML page with status 200 (GAR)
	Reset      bool          // reset the connection
	Delay      time.Duration // answer only after this long
	Trickle    time.Duration // send the body in pieces, this long apart
	Cut        bool          // end the connection in the middle of the body
	CutClean   bool          // cut the body, with a length that agrees
	Alter      bool          // change one byte of the body
	RedirectTo string        // answer 307 to the same path at this host (blobs in object storage)

	// Of answers to GET that are 200 or 206:
	CutAt  func(size int) int       // end the connection after so many bytes of the body
	Change func(body []byte) []byte // send what it returns instead; it does not keep or change the body
	Header map[string]string        // set these headers; with a Transfer-Encoding there is no length

	NoRange bool             // the registry sees no Range
	Handle  http.HandlerFunc // answers instead
}

// On matches a method and a part of the path; an empty method is any.
func On(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && strings.Contains(r.URL.Path, part)
	}
}
