package registry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Client opens repositories. Connections and limits are shared by all that it
// opened, tokens by those of the same name. It is safe for concurrent use.
type Client struct {
	options   Options
	network   *network // nil if Options.Transport replaces it
	transport http.RoundTripper
	secrets   *secrets
	dates     *dates
	layouts   *lru.Cache[string, *layout]   // by path: what is known of one is known wherever it is opened
	endpoints *lru.Cache[string, *endpoint] // by host/repository
	unmounted *lru.Cache[string, bool]      // host/repository<repository: what cannot be mounted from where
	small     *lru.Cache[string, bool]      // hosts that do not serve large pages
	twoStep   *lru.Cache[string, bool]      // hosts that do not take a blob by one request
	warned    *lru.Cache[string, bool]      // problems

	mirroring  *placeRules
	passedOver *lru.Cache[string, time.Time] // places that did not answer, and when
}

// What a client remembers for as long as it lives is bounded: servers live long,
// and registries redirect to hosts of their choice.
const (
	maxLayouts   = 16   // whose index.json is in memory
	maxEndpoints = 4096 // repositories whose tokens are
	maxHosts     = 1024
	maxWarned    = 1024
)

// recent holds the values that were used last, at most so many.
func recent[V any](most int) *lru.Cache[string, V] {
	cache, err := lru.New[string, V](most)
	if err != nil {
		panic(err) // most is a constant that is not positive
	}
	return cache
}

// New makes a client. It reads the files that the options name, and asks nothing
// of any registry. A file or proxy that is wrong is an entry.ErrInvalid.
func New(options Options) (*Client, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	return newClient(options)
}

// newClient makes a client from options that are complete.
func newClient(options Options) (*Client, error) {
	c := &Client{
		options: options, secrets: &secrets{}, layouts: recent[*layout](maxLayouts), endpoints: recent[*endpoint](maxEndpoints),
		small: recent[bool](maxHosts), twoStep: recent[bool](maxHosts), unmounted: recent[bool](maxEndpoints), warned: recent[bool](maxWarned), mirroring: &placeRules{}, passedOver: recent[time.Time](maxHosts),
	}
	for _, mirror := range options.Mirrors {
		rule, err := mirror.endpoint()
		if err != nil {
			return nil, &Error{Option: "Mirrors", Err: err}
		}
		c.mirroring.mirrors = append(c.mirroring.mirrors, rule)
	}
	base := options.Transport
	if base == nil {
		network, err := newNetwork(options, c.secrets)
		if err != nil {
			return nil, err
		}
		c.network, base = network, network
	}
	c.dates = &dates{base: &patience{base}, hosts: recent[date](maxHosts)}
	base = &logging{base: &allowances{c.dates}, logger: options.Logger, secrets: c.secrets}
	c.transport = &remembering{secrets: c.secrets, base: &retry.Transport{
		Base:   &answers{base: newLimiter(base, options.InFlight)},
		Policy: func() retry.Policy { return policy{attempts: options.Attempts, backoff: options.Backoff} },
	}}
	return c, nil
}

// Open opens the repository that ref names; its tag and digest do not matter.
// Nothing is asked of the registry yet.
func (c *Client) Open(ref Reference) (Repository, error) {
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
	if _, _, ok := normal.SplitHost(ref.Registry); !ok {
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
	plain := c.options.PlainHTTP(ref.Registry)
	host := normal.RequestHost(named, plain)
	key := host + "/" + ref.Repository
	if known, ok := c.endpoints.Get(key); ok {
		return known
	}
	made := &endpoint{scheme: "https", host: host, repository: ref.Repository, small: c.small, twoStep: c.twoStep, unmounted: c.unmounted, dates: c.dates, backoff: c.options.Backoff}
	if plain {
		made.scheme = "http"
	}
	made.login = newLogin(host, ref.Repository, func(ctx context.Context) (Account, error) {
		account, err := c.options.Credentials(ctx, ref.Registry, ref.Repository)
		c.warn(ctx, account.Problems)
		return account, err
	}, c.transport, c.options.UserAgent, c.secrets)
	if first, ok, _ := c.endpoints.PeekOrAdd(key, made); ok {
		return first
	}
	return made
}

// warn tells of each problem once.
func (c *Client) warn(ctx context.Context, problems []string) {
	for _, problem := range problems {
		if told, _ := c.warned.ContainsOrAdd(problem, true); !told {
			c.options.Logger.WarnContext(ctx, problem)
		}
	}
}
