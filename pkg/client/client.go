// Package client asks an index server (caib catalog serve) as if it were a catalog:
// its methods are those of catalog.Catalog where both do the same, and return the
// same errors.
//
//	c, err := client.New("https://caib.example.com", client.Options{Token: token})
//	page, err := c.List(ctx, catalog.ListOptions{Query: entry.Query{Targets: []string{"rpi4"}}})
//	item, err := c.Get(ctx, "autosd", catalog.GetOptions{})
//
// What a server says is its word: about signatures too, which nobody checks here.
// What its policy refuses it does not list; List says how many names that are, of
// those that the query could match.
//
// # Errors
//
// A request that no server served is an *Error, of a kind of package entry: with the
// server's *api.Problem, or without where none answered.
package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Options configure a Client. The zero value works: it reads without a token, by
// way of http.DefaultTransport.
type Options struct {
	// Token is sent with what writes or makes the server work, and with what only
	// reads where the server wants one for that; "" sends none. It goes by HTTPS or to
	// this machine.
	Token string
	// PlainHTTP lets the token be sent to other machines without TLS.
	PlainHTTP bool
	// Transport carries the requests; nil is http.DefaultTransport. Certificate
	// authorities and proxies are its business.
	Transport http.RoundTripper
	UserAgent string // "" is caib
	// Logger is told of each request at debug level, without headers and queries;
	// nil is none.
	Logger *slog.Logger
	// Warn is told once of answers that may be out of date; nil ignores them.
	Warn func(error)
}

// Client asks one index server. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	options Options
	http    *http.Client
	reads   *atomic.Bool // the server wants the token for what only reads, too
	stale   *sync.Once   // guards the warning of answers that may be out of date
	catalog string       // only its entries are verified, of several; "" is all
}

// New returns a client of the server at a URL, which has no path of the API. A URL
// that is none, or that the token may not be sent to, is an entry.ErrInvalid.
func New(base string, options Options) (*Client, error) {
	invalid := func(reason string) (*Client, error) {
		return nil, fmt.Errorf("%w: want a URL such as https://caib.example.com: %s", entry.ErrInvalid, reason)
	}
	address, err := url.Parse(base)
	switch {
	case err != nil:
		return invalid("it does not parse")
	case address.Scheme != "http" && address.Scheme != "https" || address.Host == "":
		return invalid("its scheme is not http or https, or it has no host")
	case address.User != nil || address.RawQuery != "" || address.Fragment != "":
		return invalid("it has a user, a query or a fragment")
	case options.Token != "" && address.Scheme == "http" && !normal.IsLoopback(address.Host) && !options.PlainHTTP:
		return invalid("a token is not sent without TLS; --plain-http would")
	}
	if options.UserAgent == "" {
		options.UserAgent = "caib"
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Warn == nil {
		options.Warn = func(error) {}
	}
	return &Client{base: address, options: options, reads: &atomic.Bool{}, stale: &sync.Once{}, http: &http.Client{
		Transport:     options.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Reference returns the URL of the server and, of several catalogs, the catalog.
func (c *Client) Reference() string {
	if c.catalog != "" {
		return c.base.String() + " " + c.catalog
	}
	return c.base.String()
}
