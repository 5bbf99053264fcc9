package registry

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/oci-catalog/caib/pkg/entry"
)

// HTTP says when a registry is asked without TLS.
type HTTP int

// The ways to ask a registry.
const (
	HTTPLoopback HTTP = iota // plain HTTP for loopback hosts only
	HTTPAlways               // plain HTTP everywhere
	HTTPNever                // HTTPS everywhere, loopback too
)

// Options configure a Client. The zero value is the safe one: HTTPS, verified
// against the system's authorities, anonymous.
type Options struct {
	PlainHTTP   HTTP
	InsecureTLS bool   // accept any server certificate
	CAFile      string // PEM authorities to trust besides the system's; "" is none
	Credentials auth.CredentialFunc
	UserAgent   string // "" is "caib"
	// InFlight bounds the requests under way to one host; 0 is 16.
	InFlight int
	// Attempts bounds how often one request is sent; 0 is 6, 1 never repeats.
	Attempts int
	// Backoff is the first wait before a repeat, doubled each time; 0 is 200ms.
	Backoff time.Duration
	Proxy   func(*http.Request) (*url.URL, error) // nil is none
	// Transport replaces the network, for tests and for counting; nil is the
	// network. TLS options and Proxy do not apply to it.
	Transport http.RoundTripper
	Logger    *slog.Logger // one debug line a request; nil is none
}

// Client opens repositories. Connections, tokens and limits are shared by all
// that it opened. It is safe for concurrent use.
type Client struct {
	options Options
	auth    *auth.Client
}

// New makes a client. It reads CAFile, and asks nothing of any registry.
func New(options Options) (*Client, error) {
	if options.InFlight <= 0 {
		options.InFlight = 16
	}
	if options.Attempts <= 0 {
		options.Attempts = 6
	}
	if options.Backoff <= 0 {
		options.Backoff = 200 * time.Millisecond
	}
	if options.UserAgent == "" {
		options.UserAgent = "caib"
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	base := options.Transport
	if base == nil {
		network, err := newNetwork(options)
		if err != nil {
			return nil, err
		}
		base = network
	}
	transport := &retry.Transport{
		Base:   &answers{base: newLimiter(&logging{base: base, logger: options.Logger}, options.InFlight)},
		Policy: func() retry.Policy { return policy{attempts: options.Attempts, backoff: options.Backoff} },
	}
	client := &auth.Client{
		Client:     &http.Client{Transport: transport},
		Cache:      auth.NewCache(),
		Credential: options.Credentials,
		ClientID:   options.UserAgent,
	}
	client.SetUserAgent(options.UserAgent)
	return &Client{options: options, auth: client}, nil
}

// newNetwork is the transport of last resort: TLS, proxies, and a bound on
// every phase of a connection. The command's deadline bounds the whole.
func newNetwork(options Options) (http.RoundTripper, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: options.InsecureTLS}
	if options.CAFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: CA file: %v", entry.ErrInvalid, err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: CA file %s: no PEM certificate in it", entry.ErrInvalid, options.CAFile)
		}
		config.RootCAs = pool
	}
	return &http.Transport{
		Proxy:                  options.Proxy,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    options.InFlight,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}, nil
}

// Open opens the repository that ref names; its tag and digest do not matter.
// Nothing is asked of the registry yet.
func (c *Client) Open(ref Reference) (Repository, error) {
	if ref.Layout != "" {
		return newLayout(ref.Layout), nil
	}
	parsed := orasregistry.Reference{Registry: ref.Registry, Repository: ref.Repository}
	if err := cmp.Or(parsed.ValidateRegistry(), parsed.ValidateRepository()); err != nil {
		return nil, fmt.Errorf("%w: reference %q: %v", entry.ErrInvalid, ref, err)
	}
	plain := c.options.PlainHTTP == HTTPAlways ||
		(c.options.PlainHTTP == HTTPLoopback && loopback(ref.Registry))
	return &remoteRepository{
		base: ref.Base(),
		oras: &remote.Repository{
			Client:               c.auth,
			Reference:            parsed,
			PlainHTTP:            plain,
			MaxMetadataBytes:     maxAnswer,
			TagListMaxPages:      maxPages,
			ReferrerListMaxPages: maxPages,
			SkipReferrersGC:      true, // another client may have just written the index we would delete
		},
	}, nil
}
