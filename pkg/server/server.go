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
	"github.com/oci-catalog/caib/pkg/health"
)

// Catalog is what the server reads: package catalog has one.
type Catalog interface {
	Reference() string
	Look(ctx context.Context) (*catalog.Look, error)
	Recall(ctx context.Context) (*catalog.Look, error)
}

// Publisher is what the server writes to: package catalog has one.
type Publisher interface {
	Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.Result, error)
	Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.Result, error)
	Remove(ctx context.Context, name string, options catalog.RemoveOptions) (entry.Event, []string, error)
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
	Publisher Publisher     // of the first catalog; nil serves read-only
	Tokens    *Tokens       // who may publish; required with Publisher
	Statuses  []StatusStore // one for each catalog, or none
	Probe     health.Probe  // nil probes nothing
	Interval  time.Duration // between probes of an entry; 0 is 1h
	Refresh   time.Duration // between looks at a log; 0 is 15s
	Record    time.Duration // between records of statuses; 0 is 5m
	Listeners int           // to events, at once; 0 is 1000
	Keep      string        // file that keeps what is served for the next start; "" keeps nothing
	Logger    *slog.Logger  // nil is none
	Version   string        // of the build, for metrics
}

// Server is the index server. It is safe for concurrent use.
type Server struct {
	options  Options
	mux      *http.ServeMux
	log      *slog.Logger
	metrics  *metrics
	monitor  *health.Monitor // nil where nothing is probed
	follower *follower
	events   *events
	verify   *throttle
	state    atomic.Pointer[state] // nil until there is one
	kept     atomic.Pointer[state] // the one that is kept on disk
	started  time.Time
	ids      requestIDs
	writing  sync.Mutex    // one publication at a time: they conflict, or wait for each other's log anyway
	slow     chan struct{} // bounds the requests that compute
	probes   sync.WaitGroup
	running  atomic.Pointer[context.Context] // of Run, for what outlives its request
	caughtUp chan struct{}                   // closed when the state was current for the first time
}

// New makes a server. Nothing is read before Run.
func New(options Options) (*Server, error) {
	if len(options.Catalogs) == 0 {
		return nil, errors.New("server: no catalog to serve")
	}
	if options.Publisher != nil && options.Tokens == nil {
		return nil, errors.New("server: a publisher needs tokens")
	}
	options.Refresh = cmp.Or(max(options.Refresh, 0), 15*time.Second)
	options.Record = cmp.Or(max(options.Record, 0), 5*time.Minute)
	options.Listeners = cmp.Or(max(options.Listeners, 0), 1000)
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options: options, log: options.Logger, started: time.Now(),
		ids: newRequestIDs(), events: newEvents(options.Listeners), verify: newThrottle(verifyEvery),
		slow: make(chan struct{}, maxComputing), caughtUp: make(chan struct{}),
	}
	s.metrics = newMetrics(s)
	s.follower = newFollower(s)
	if options.Probe != nil {
		s.monitor = health.New(health.Options{
			Probe: options.Probe, Interval: options.Interval,
			Changed: s.follower.statusChanged, Probed: s.metrics.probed,
		})
	}
	s.routes()
	return s, nil
}

// Run follows the catalogs, probes, and records, until ctx ends; then it
// records what is left, within Options.Record, and returns.
func (s *Server) Run(ctx context.Context) {
	s.running.Store(&ctx)
	var parts sync.WaitGroup
	if s.monitor != nil {
		parts.Go(func() { s.monitor.Run(ctx) })
	}
	parts.Go(func() { s.follower.run(ctx) })
	parts.Go(func() { s.record(ctx) })
	parts.Go(func() {
		<-ctx.Done()
		s.events.close() // those who listen would keep a shutdown waiting
	})
	parts.Wait()
	s.probes.Wait()
}

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

// maxComputing bounds the requests that are not answered from prepared bytes,
// at once.
const maxComputing = 4

// compute waits for a turn to do something expensive.
func (s *Server) compute(ctx context.Context) (done func(), err error) {
	select {
	case s.slow <- struct{}{}:
		return func() { <-s.slow }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
