package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/schema/apitest"
)

const secret = "correct-horse-battery-staple"

// world is a registry that a test commands, a catalog in it, and a server.
type world struct {
	t       testing.TB
	host    string
	refuse  atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	writes  atomic.Int64 // requests that change something
	client  *registry.Client
	catalog *catalog.Catalog
	cache   string

	between  func(server.Source) server.Source // the server and each catalog; nil is nothing
	volatile bool                              // golden files leave times and digests out

	server *server.Server
	url    string
	log    *buffer
	stop   func()
}

// buffer is a log that many write to.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, cache: t.TempDir(), log: &buffer{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%.3000s", w.log)
		}
	})
	inner := ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	listener := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.writes.Add(1)
		}
		if refuse := w.refuse.Load(); refuse != nil && (*refuse)(answer, r) {
			return
		}
		inner.ServeHTTP(answer, r)
	}))
	t.Cleanup(listener.Close)
	w.host = strings.TrimPrefix(listener.URL, "http://")
	w.catalog = w.open("team/catalog")
	return w
}

func (w *world) open(repository string) *catalog.Catalog {
	w.t.Helper()
	client, err := registry.New(registry.Options{Attempts: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.client = client
	c, err := catalog.Open(w.host+"/"+repository, catalog.Options{Registry: client, CacheDir: w.cache, Recheck: time.Millisecond, Author: "alice@build"})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// refusing makes the registry answer some requests otherwise; nil ends it.
func (w *world) refusing(refuse func(http.ResponseWriter, *http.Request) bool) {
	if refuse == nil {
		w.refuse.Store(nil)
		return
	}
	w.refuse.Store(&refuse)
}

func (w *world) push(repository, tag string) string {
	w.t.Helper()
	reference := w.host + "/" + repository + ":" + tag
	ref, err := registry.ParseReference(reference)
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := w.client.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = samples.Bootc(w.t.Context(), to, tag, samples.Build{
		Distro: "autosd", Target: repository[strings.LastIndexByte(repository, '/')+1:], Architectures: []string{"arm64"}, Version: tag,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return reference
}

// publish publishes an image of its own for each name.
func (w *world) publish(names ...string) {
	w.t.Helper()
	for _, name := range names {
		image := w.push("os/"+name, "1")
		if _, err := w.catalog.Publish(w.t.Context(), image, catalog.PublishOptions{Name: name, Version: "1", NoAttach: true, Tags: []string{"nightly"}, Labels: map[string]string{"team": name}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// start runs a server over the world's catalog until the test ends.
func (w *world) start(change func(*server.Options)) {
	w.t.Helper()
	options := server.Options{
		Catalogs: []*catalog.Catalog{w.catalog}, Refresh: 50 * time.Millisecond, Interval: time.Hour,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test",
	}
	if change != nil {
		change(&options)
	}
	between := w.between
	if between == nil {
		between = func(c server.Source) server.Source { return c }
	}
	s, err := server.NewBetween(options, between)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = s
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	listener := httptest.NewServer(s)
	w.url = listener.URL
	w.stop = func() {
		cancel()
		testwait.Receive(w.t, "the server to end", done)
		listener.CloseClientConnections()
		listener.Close()
	}
	w.t.Cleanup(w.stop)
}

// startReady is start, and waits for the catalog.
func (w *world) startReady(change func(*server.Options)) {
	w.t.Helper()
	w.start(change)
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "").status == 200 && !w.ready().Stale })
}

type readiness struct {
	Ready, Stale bool
	Entries      int
	AgeSeconds   *float64
}

func (w *world) ready() (r readiness) {
	w.t.Helper()
	_ = json.Unmarshal(w.ask("GET", "/readyz", "").body, &r)
	return r
}

// until polls: the server works on its own time.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	testwait.Until(w.t, what, holds)
}

// allowPublish lets a server write; the token is secret.
func (w *world) allowPublish(o *server.Options) {
	path := filepath.Join(w.t.TempDir(), "tokens")
	sum := sha256.Sum256([]byte(secret))
	if err := os.WriteFile(path, []byte("# who may publish\nci:"+hex.EncodeToString(sum[:])+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	o.TokenFile = path
}

// probing has the server probe as a test says.
func (w *world) probing(probe func(ctx context.Context, item *entry.Item) error) {
	w.between = func(c server.Source) server.Source { return &probed{c, probe} }
}

type probed struct {
	server.Source
	probe func(ctx context.Context, item *entry.Item) error
}

func (p *probed) Probe(ctx context.Context, item *entry.Item) error { return p.probe(ctx, item) }

type answer struct {
	status int
	header http.Header
	body   []byte
}

// forwarding carries the requests of tests. The default transport would lose some
// whenever a parallel test closes its httptest.Server, which closes idle
// connections of the default transport too.
var forwarding = http.DefaultTransport.(*http.Transport).Clone()

// send makes a request and reads the answer. Headers are KEY: VALUE.
func (w *world) send(method, path, body string, headers ...string) (*http.Request, answer) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), testwait.Limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ": ")
		request.Header.Set(key, value)
	}
	if request.Header.Get("Accept-Encoding") == "" {
		request.Header.Set("Accept-Encoding", "identity")
	}
	response, err := forwarding.RoundTrip(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return request, answer{response.StatusCode, response.Header, text}
}

// ask makes a request, checked against the description of the API in both
// directions. Headers are KEY: VALUE.
func (w *world) ask(method, path, body string, headers ...string) answer {
	w.t.Helper()
	request, a := w.send(method, path, body, headers...)
	if err := apitest.Check(apitest.Exchange{Method: method, URL: request.URL, Body: []byte(body), Status: a.status, Header: a.header, Answer: a.body}); err != nil {
		w.t.Error(err)
	}
	return a
}

type page struct {
	Items    []entry.Item `json:"items"`
	Total    int          `json:"total"`
	Refused  int          `json:"refused"`
	Absent   []string     `json:"absent"`
	Facets   entry.Facets `json:"facets"`
	Continue string       `json:"continue"`
}

func (w *world) list(query string) page {
	w.t.Helper()
	a := w.ask("GET", "/v1/catalog/images"+query, "")
	if a.status != 200 {
		w.t.Fatalf("list %s: %d %s", query, a.status, a.body)
	}
	return decode[page](w.t, a)
}

func decode[T any](t testing.TB, a answer) (value T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &value); err != nil {
		t.Fatalf("%v\n%s", err, a.body)
	}
	return value
}

func names(p page) string {
	var all []string
	for _, item := range p.Items {
		all = append(all, item.Name)
	}
	return fmt.Sprint(all)
}

func parse(t testing.TB, reference string) registry.Reference {
	t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
