package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	orasregistry "oras.land/oras-go/v2/registry"
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
	// CertificateDirs hold a directory for each host[:port]: authorities as
	// *.crt, client certificates as *.cert with their *.key (docker's and
	// podman's certs.d). The first that has one for a host decides, and what is
	// in it serves that host alone, not where it redirects to. nil is none.
	CertificateDirs []string
	Credentials     Keychain // nil is anonymous
	UserAgent       string   // "" is "caib"
	// InFlight bounds the requests under way to one host; 0 is 16.
	InFlight int
	// Attempts bounds how often one request is sent; 0 is 6, 1 never repeats.
	Attempts int
	// Backoff is the first wait before a repeat, doubled each time; 0 is 200ms.
	Backoff time.Duration
	Proxy   func(*http.Request) (*url.URL, error) // nil is none
	// Transport replaces the network, for tests and for counting; nil is the
	// network. TLS options, certificates and Proxy do not apply to it.
	Transport http.RoundTripper
	// Logger is told of every request at debug level, and at warning level of
	// what was passed over, such as a credential helper that does not work. nil
	// is none.
	Logger *slog.Logger
}

// Client opens repositories. Connections and limits are shared by all that it
// opened, tokens by those of the same name. It is safe for concurrent use.
type Client struct {
	options   Options
	network   *network // nil if Options.Transport replaces it
	transport http.RoundTripper
	secrets   *secrets
	dates     *dates
	gate      *Gate                       // nil lets everything through
	layouts   *lru.Cache[string, *layout] // by path: what is known of one is known wherever it is opened
	asked     *endpoints
	pages     *pageSizes
	told      *sync.Map // problems that were warned of
}

// endpoints are those that were made, by host/repository.
type endpoints struct {
	mu   sync.Mutex
	made map[string]*endpoint
}

// Behind returns a client that opens only what a gate lets through. It shares
// connections, limits and tokens with c.
func (c *Client) Behind(gate *Gate) *Client {
	behind := *c
	behind.gate = gate
	return &behind
}

// maxLayouts bounds the layouts whose index.json is kept in memory.
const maxLayouts = 16

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
	if options.Credentials == nil {
		options.Credentials = Keychains()
	}
	layouts, err := lru.New[string, *layout](maxLayouts)
	if err != nil {
		return nil, err
	}
	c := &Client{
		options: options, secrets: &secrets{}, layouts: layouts,
		asked: &endpoints{made: map[string]*endpoint{}}, pages: &pageSizes{}, told: &sync.Map{},
	}
	base := options.Transport
	if base == nil {
		network, err := newNetwork(options, c.secrets)
		if err != nil {
			return nil, err
		}
		c.network, base = network, network
	}
	c.dates = &dates{base: &patience{base}, hosts: map[string]date{}}
	base = &logging{base: c.dates, logger: options.Logger, secrets: c.secrets}
	c.transport = &remembering{secrets: c.secrets, base: &retry.Transport{
		Base:   &answers{base: newLimiter(base, options.InFlight)},
		Policy: func() retry.Policy { return policy{attempts: options.Attempts, backoff: options.Backoff} },
	}}
	return c, nil
}

// newNetwork is TLS, proxies, and a bound on the time that connecting takes. How
// long an answer may take is the command's deadline's to say.
func newNetwork(options Options, known *secrets) (*network, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: options.InsecureTLS}
	if options.CAFile != "" {
		pool, err := Authorities(options.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	base := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    options.InFlight,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		OnProxyConnectResponse: proxyAnswer,
	}
	if options.Proxy != nil {
		base.Proxy = func(request *http.Request) (*url.URL, error) {
			proxy, err := options.Proxy(request)
			if proxy != nil && proxy.User != nil {
				password, _ := proxy.User.Password()
				known.login(proxy.User.Username(), password)
			}
			return proxy, err
		}
	}
	return &network{base: base, dirs: options.CertificateDirs, hosts: map[string]*http.Transport{}}, nil
}

// proxyAnswer gives a proxy that wants a login the kind of error that has.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusProxyAuthRequired {
		return &AnswerError{Cause: CauseProxy, Host: proxy.Host, Status: http.StatusProxyAuthRequired,
			err: fmt.Errorf("%w: the proxy %s wants another login", entry.ErrUnauthorized, proxy.Host)}
	}
	return nil
}

// Open opens the repository that ref names; its tag and digest do not matter.
// Nothing is asked of the registry yet. What the client's gate does not let
// through is an ErrNotAllowed.
func (c *Client) Open(ref Reference) (Repository, error) {
	if c.gate != nil {
		var err error
		if ref, err = c.gate.pass(ref); err != nil {
			return nil, err
		}
	}
	if ref.Layout != "" {
		root, name := locate(ref.Layout)
		opened := newLayout(root)
		opened.name = name
		if known, ok, _ := c.layouts.PeekOrAdd(ref.Layout, opened); ok && known.root == root && known.name == name {
			c.layouts.Get(ref.Layout) // it is used
			opened = known
		}
		return opened, nil
	}
	if _, _, ok := splitHost(ref.Registry); !ok {
		return nil, fmt.Errorf("%w: reference %q: %s", entry.ErrInvalid, ref, wantHost)
	}
	parsed := orasregistry.Reference{Registry: ref.Registry, Repository: ref.Repository}
	if err := parsed.ValidateRepository(); err != nil {
		return nil, fmt.Errorf("%w: reference %q: %v", entry.ErrInvalid, ref, err)
	}
	asked := c.endpoint(ref.Normal(), ref.Registry)
	if c.network != nil {
		if _, err := c.network.transport(asked.host); err != nil {
			return nil, err
		}
	}
	return &remoteRepository{endpoint: asked, base: ref.Base(), maxPages: maxPages, left: listBudget{maxListed, maxList}}, nil
}

// endpoint returns what is asked for a reference in normal form, the same for
// each time it is opened.
func (c *Client) endpoint(ref Reference, named string) *endpoint {
	plain := c.options.PlainHTTP == HTTPAlways || (c.options.PlainHTTP == HTTPLoopback && loopback(ref.Registry))
	host := requestHost(named, plain)
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	known := c.asked.made[host+"/"+ref.Repository]
	if known == nil {
		known = &endpoint{scheme: "https", host: host, repository: ref.Repository, pages: c.pages, dates: c.dates, backoff: c.options.Backoff}
		if plain {
			known.scheme = "http"
		}
		known.login = newLogin(host, ref.Repository, func(ctx context.Context) (Account, error) {
			account, err := c.options.Credentials(ctx, ref.Registry, ref.Repository)
			c.warn(ctx, account.Problems)
			return account, err
		}, c.transport, c.options.UserAgent, c.secrets)
		c.asked.made[host+"/"+ref.Repository] = known
	}
	return known
}

// warn tells of each problem once.
func (c *Client) warn(ctx context.Context, problems []string) {
	for _, problem := range problems {
		if _, told := c.told.LoadOrStore(problem, true); !told {
			c.options.Logger.WarnContext(ctx, problem)
		}
	}
}
