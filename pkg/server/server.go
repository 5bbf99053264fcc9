package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Catalog is what the server reads: package catalog has one.
type Catalog interface {
	Reference() string
	Read(ctx context.Context) (*catalog.View, error)
	ReadCached(ctx context.Context) (*catalog.View, error)
}

// Publisher is what the server writes to: package catalog has one.
type Publisher interface {
	Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Republish(ctx context.Context, name string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Remove(ctx context.Context, name string, options catalog.RemoveOptions) (catalog.RemoveResult, error)
}

// Verifier looks at whole entries: a Catalog that is one lets requests wait for
// what is found.
type Verifier interface {
	Verify(ctx context.Context, name string) (catalog.Verification, error)
}

// StatusStore is where statuses are recorded: package catalog has one.
type StatusStore interface {
	SaveStatuses(ctx context.Context, merge func(recorded map[string]*entry.Status) []*entry.Status) error
}

// Options configure a Server. Only Catalogs are required; the zero value of
// everything else is read-only, without probes.
type Options struct {
	Catalogs  []Catalog
	Publisher Publisher                                         // of the first catalog; nil serves read-only
	Tokens    *Tokens                                           // who may publish; required with Publisher
	Statuses  []StatusStore                                     // one for each catalog, or none: then nobody counts accesses
	Probe     func(ctx context.Context, item *entry.Item) error // asks for the image of an entry; nil probes nothing
	Interval  time.Duration                                     // between probes of an entry; 0 is 1h
	Refresh   time.Duration                                     // between looks at a log; 0 is 15s, and more than a day is a day
	Record    time.Duration                                     // between records of statuses; 0 is 5m
	Listeners int                                               // to events, at once; 0 is 1000
	// ListenersPerAddress bounds those from one address; 0 is a tenth of
	// Listeners, and 8 where that is less. Behind a proxy all have its address.
	ListenersPerAddress int
	// Allow are patterns of the registries that are opened for the references of
	// entries and requests, as registry.NewGate has them; nil opens all. The
	// directories that are opened are those of the catalogs, each for its own
	// entries. Catalogs open what Publish and Verify need, so let their client
	// stand behind the same gate (registry.Client.Behind).
	Allow []string
	// Vouched are further registries that are opened: those of entries that the
	// policy verifies (catalog.Options.Vouched). With a set, Allow being nil opens
	// no others. The server empties it when the policy changes.
	Vouched *registry.Hosts
	// Policy reads the trust policy, again and again; nil checks no signatures.
	// The catalogs must be open under one. What it refuses is not listed. While it
	// cannot be read, nothing is shown: the policy of now may be another one than
	// that which was read last.
	Policy  func() (*trust.Policy, error)
	Keep    string       // file that keeps what is served for the next start; "" keeps nothing. With Policy, nothing is kept: verdicts are no cache's to say
	Logger  *slog.Logger // nil is none
	Version string       // of the build, for metrics
}

// Server is the index server. It is safe for concurrent use.
type Server struct {
	options  Options
	mux      *http.ServeMux
	log      *slog.Logger
	metrics  *metrics
	trust    atomic.Pointer[inForce] // nil without a policy
	monitor  *health.Monitor         // nil where nothing is probed
	follower *follower
	events   *events
	verify   *throttle
	state    atomic.Pointer[state] // nil until there is one
	kept     atomic.Pointer[state] // the one that is kept on disk
	started  time.Time
	ids      requestIDs
	writes   chan struct{}          // bounds the requests that write
	slow     chan struct{}          // bounds the requests that compute
	gates    map[string]health.Gate // what is opened for the entries of a catalog, by its label
	shares   shares
	probes   *background   // that requests ask for
	caughtUp chan struct{} // closed when the state was current for the first time
}

// New makes a server. Nothing but the policy is read before Run.
func New(options Options) (*Server, error) {
	if len(options.Catalogs) == 0 {
		return nil, errors.New("server: no catalog to serve")
	}
	if options.Publisher != nil && options.Tokens == nil {
		return nil, errors.New("server: a publisher needs tokens")
	}
	if n := len(options.Statuses); n != 0 && n != len(options.Catalogs) {
		return nil, errors.New("server: want a status store for each catalog, or none")
	}
	options.Refresh = min(cmp.Or(max(options.Refresh, 0), 15*time.Second), maxRefresh)
	options.Record = cmp.Or(max(options.Record, 0), 5*time.Minute)
	options.Listeners = cmp.Or(max(options.Listeners, 0), 1000)
	options.ListenersPerAddress = cmp.Or(max(options.ListenersPerAddress, 0), max(options.Listeners/10, 8))
	if options.Policy != nil {
		options.Keep = ""
	}
	gates, err := gates(&options)
	if err != nil {
		return nil, err
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options: options, log: options.Logger, started: time.Now(),
		ids: newRequestIDs(), events: newEvents(options.Listeners), verify: newThrottle(verifyEvery), probes: newBackground(),
		slow: make(chan struct{}, maxComputing), writes: make(chan struct{}, maxWriting), caughtUp: make(chan struct{}),
		gates: gates, shares: newShares(options.ListenersPerAddress),
	}
	if err := s.firstPolicy(); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s)
	s.follower = newFollower(s)
	if options.Probe != nil {
		s.monitor = health.New(health.Options{
			Probe: options.Probe, Interval: options.Interval,
			Changed: func(_ health.Key, news bool) { s.follower.statusChanged(news) }, Probed: s.metrics.probed,
			Allow: s.mayProbe, Failed: s.probeFailed,
		})
	}
	s.routes()
	return s, nil
}

// Run follows the catalogs, probes, and records, until ctx ends; then it
// records what is left, within eight seconds, and returns. It is called once.
// Requests may come before and after; what changes then is shown, and told to
// nobody. End ctx once the last request is answered, and what it brought about
// is recorded, too.
func (s *Server) Run(ctx context.Context) {
	var parts sync.WaitGroup
	if s.monitor != nil {
		parts.Go(func() { s.monitor.Run(ctx) })
	}
	parts.Go(func() { s.follower.run(ctx) })
	if s.options.Policy != nil {
		parts.Go(func() { s.watchPolicy(ctx) })
	}
	parts.Go(func() { s.probes.run(ctx) })
	parts.Go(func() { s.record(ctx) })
	<-ctx.Done()
	s.Drain()
	parts.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	s.save(last)
}

// Drain ends the streams of events, for which a shutdown of the HTTP server
// would wait: they begin again somewhere else. It is for
// http.Server.RegisterOnShutdown, and may be called more than once.
func (s *Server) Drain() { s.events.close() }

// Entries returns how many entries are served now; 0 before there is an index.
func (s *Server) Entries() int {
	if now := s.state.Load(); now != nil {
		return len(now.images)
	}
	return 0
}

// CaughtUp is closed once all catalogs were read, and what is served is not from
// the cache any more.
func (s *Server) CaughtUp() <-chan struct{} { return s.caughtUp }

const (
	// maxComputing bounds the requests that are not answered from prepared
	// bytes, at once.
	maxComputing = 4
	// computeWithin bounds each of them.
	computeWithin = 30 * time.Second
)

// compute makes an answer that is not prepared, taking turns with others. The
// turn ends before the answer is written: however slowly a client reads, it
// keeps nobody waiting.
func (s *Server) compute(r *http.Request, step func(context.Context) (*answer, error)) (*answer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), computeWithin)
	defer cancel()
	done, err := s.shares.computing.wait(ctx, r)
	if err != nil {
		return nil, err
	}
	defer done()
	select {
	case s.slow <- struct{}{}:
		defer func() { <-s.slow }()
		return step(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
