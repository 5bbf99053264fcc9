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
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/page"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// source is what the server asks of a catalog, and tests in part.
type source interface {
	serving.Source
	Reference() string
	Verify(ctx context.Context, name string, options catalog.VerifyOptions) (catalog.Verification, error)
	Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Republish(ctx context.Context, name string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Edit(ctx context.Context, name string, change entry.Change, options catalog.EditOptions) (catalog.PublishResult, error)
	Remove(ctx context.Context, name string, options catalog.RemoveOptions) (catalog.RemoveResult, error)
}

// served is a catalog as a source.
type served struct {
	*catalog.Catalog
	serving.Source
}

func sourcesOf(catalogs []*catalog.Catalog) []source {
	sources := make([]source, len(catalogs))
	for n, c := range catalogs {
		sources[n] = served{c, c.ForServer()}
	}
	return sources
}

// Options configure a Server. Only Catalogs are required; the zero value of
// everything else reads only, and probes nothing.
type Options struct {
	Catalogs []*catalog.Catalog
	// TokenFile names those who may publish to the first catalog, one a line: a
	// name, a colon, and the SHA-256 of the token in hexadecimal. Lines that begin
	// with # are comments. The file is read again when it changes, and while it
	// cannot be read nobody may publish. "" serves read-only.
	TokenFile string
	// ReadTokenFile names those who may read, one a line: a name, the SHA-256 of the
	// token in hexadecimal, and what they may see: the reference of a catalog, and a
	// pattern of names, as entry.MatchPattern has them; * or nothing is each. Several
	// lines of one token add up. What is outside does not exist for them. It is read
	// as TokenFile is, whose tokens may read everything. "" lets everybody read.
	ReadTokenFile string
	// RecordStatuses records in the catalogs what probes find out, and how often
	// entries are asked for by name, which is counted then.
	RecordStatuses bool
	Record         time.Duration // between records of statuses; 0 is 5m
	Interval       time.Duration // between probes of an entry's image; 0 probes nothing
	Refresh        time.Duration // between reads of a log; 0 is 15s, and more than a day is a day
	Listeners      int           // to events, at once; 0 is 1000
	// ListenersPerAddress bounds those from one address; 0 is a tenth of
	// Listeners, and 8 where that is less. Behind a proxy all have its address.
	ListenersPerAddress int
	// Allow are patterns of the registries that are opened for the references of
	// entries and requests: HOST[:PORT], for all repositories of a registry, or
	// HOST[:PORT]/REPOSITORY, where * stands for any characters but a slash and **
	// for any at all. One that is malformed is an entry.ErrInvalid in a
	// *registry.Error. Without any, those of the catalogs and of entries that the
	// policy verifies are opened and, where there is no Policy, all. Of directories
	// (oci:PATH) each catalog's own alone is opened, for its own entries. The
	// catalogs keep to this themselves once they are given to New, whoever uses
	// them, so give one to one server only.
	Allow []string
	// Policy reads the trust policy, again and again; nil checks no signatures.
	// The catalogs must be open under one. What it refuses is not listed. While it
	// cannot be read, nothing is shown: the policy of now may be another one than
	// that which was read last.
	Policy func() (*trust.Policy, error)
	// BasePath is the path that clients know the server below: "", or one such as
	// /catalog. Requests may have it or not: some proxies take it away. One that is
	// malformed is an entry.ErrInvalid in a *registry.Error.
	BasePath  string
	CacheFile string       // file that keeps what is served for the next start; "" keeps nothing. With Policy, nothing is kept: verdicts are no cache's to say
	Logger    *slog.Logger // nil is none
	Version   string       // of the build, for metrics
}

// Server is the index server. It is safe for concurrent use.
type Server struct {
	options  Options
	tokens   *tokens // nil serves read-only
	readers  *tokens // nil lets everybody read
	earlier  earlier
	mux      *http.ServeMux
	log      *slog.Logger
	metrics  *metrics
	trust    atomic.Pointer[policyState] // nil without a policy
	monitor  *health.Monitor             // nil where nothing is probed
	follower *follower
	events   *events
	verify   *throttle
	state    atomic.Pointer[state] // nil until there is one
	kept     atomic.Pointer[state] // the one that is kept on disk
	started  time.Time
	ids      requestIDs
	writes   chan struct{}         // bounds the requests that write
	slow     chan struct{}         // bounds the requests that compute
	gates    map[string]*gate.Gate // what is opened for the entries of a catalog, by its label
	vouched  *gate.Hosts           // that the gates let through; nil where these make no difference
	shares   shares
	pages    *page.Pages
	probes   *background   // that requests ask for
	caughtUp chan struct{} // closed when the state was current for the first time
}

// New makes a server. Nothing but the policy and the tokens is read before Run.
func New(options Options) (*Server, error) {
	return newServer(options, sourcesOf(options.Catalogs))
}

// newServer is New over sources in the place of the catalogs.
func newServer(options Options, sources []source) (*Server, error) {
	if len(sources) == 0 {
		return nil, errors.New("server: no catalog to serve")
	}
	options.Refresh = min(cmp.Or(max(options.Refresh, 0), 15*time.Second), maxRefresh)
	options.Record = cmp.Or(max(options.Record, 0), 5*time.Minute)
	options.Listeners = cmp.Or(max(options.Listeners, 0), 1000)
	options.ListenersPerAddress = cmp.Or(max(options.ListenersPerAddress, 0), max(options.Listeners/10, 8))
	if options.Policy != nil {
		options.CacheFile = ""
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options: options, log: options.Logger, started: time.Now(),
		ids: newRequestIDs(), events: newEvents(options.Listeners), verify: newThrottle(verifyEvery), probes: newBackground(),
		slow: make(chan struct{}, maxComputing), writes: make(chan struct{}, maxWriting), caughtUp: make(chan struct{}),
		shares: newShares(options.ListenersPerAddress),
	}
	if err := s.preparePages(); err != nil {
		return nil, err
	}
	if err := s.closeDoors(sources); err != nil {
		return nil, err
	}
	if options.TokenFile != "" {
		var err error
		if s.tokens, err = openTokens(options.TokenFile, parseTokens); err != nil {
			return nil, err
		}
	}
	if err := s.openReaders(sources); err != nil {
		return nil, err
	}
	s.follower = newFollower(s, sources)
	if err := s.firstPolicy(); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s)
	if options.Interval > 0 {
		s.monitor = health.New(health.Options{
			Probe: s.probeImage, Interval: options.Interval,
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
	parts.Go(func() { s.probes.run(ctx) })
	<-s.probes.begun // whoever sees a catalog that was read may have it probed
	parts.Go(func() { s.follower.run(ctx) })
	if s.options.Policy != nil {
		parts.Go(func() { s.watchPolicy(ctx) })
	}
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
		return len(now.entries)
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
func (s *Server) compute(r *http.Request, step func(context.Context) (*body, error)) (*body, error) {
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
