package catalog_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// forwarding carries what tests pass on. The default transport would lose requests
// whenever a parallel test closes its httptest.Server, which closes idle
// connections of the default transport too.
var forwarding = http.DefaultTransport.(*http.Transport).Clone()

// counter counts the requests that leave the client.
type counter struct {
	mu       sync.Mutex
	requests []string
}

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.requests = append(c.requests, request.Method+" "+request.URL.Path)
	c.mu.Unlock()
	return forwarding.RoundTrip(request)
}

// during returns the requests that step makes.
func (c *counter) during(step func()) []string {
	c.mu.Lock()
	c.requests = nil
	c.mu.Unlock()
	step()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// world is an in-process registry and a client that counts what it asks.
type world struct {
	t        testing.TB
	host     string
	counter  *counter
	client   *registry.Client
	cacheDir string
}

func newWorld(t testing.TB, referrers bool, wrap func(http.Handler) http.Handler) *world {
	t.Helper()
	handler := ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	w := &world{t: t, host: strings.TrimPrefix(server.URL, "http://"), counter: &counter{}, cacheDir: t.TempDir()}
	w.client = w.newClient()
	return w
}

func (w *world) newClient() *registry.Client {
	w.t.Helper()
	client, err := registry.New(registry.Options{Transport: w.counter, Attempts: 3, Backoff: time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// open opens the catalog as a new process would, with the cache of the world.
func (w *world) open(options catalog.Options) *catalog.Catalog {
	w.t.Helper()
	options.Registry, options.Recheck = w.newClient(), time.Millisecond
	if options.CacheDir == "" {
		options.CacheDir = w.cacheDir
	}
	c, err := catalog.Open(w.host+"/team/catalog", options)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// push pushes a sample image for one architecture and returns its reference.
func (w *world) push(repository, tag, version string) string {
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
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: version,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return reference
}

// attach attaches an artifact with one file to an image.
func (w *world) attach(image, artifactType string) {
	w.t.Helper()
	ref, err := registry.ParseReference(image)
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := w.client.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := samples.Attach(w.t.Context(), to, ref.Target(), artifactType, "file", []byte(artifactType)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(c *catalog.Catalog, image string, options catalog.PublishOptions) catalog.PublishResult {
	w.t.Helper()
	result, err := c.Publish(w.t.Context(), image, options)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func parse(t testing.TB, reference string) registry.Reference {
	t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func isKind(err, kind error) bool { return errors.Is(err, kind) }

// refusals joins the errors of those heads that are refused; nil for none.
func refusals(heads []catalog.Head) error {
	var all []error
	for _, head := range heads {
		all = append(all, head.Err)
	}
	return errors.Join(all...)
}

// warningText is what warnings say, a line each.
func warningText(warnings []catalog.Warning) string {
	var text strings.Builder
	for _, warning := range warnings {
		fmt.Fprintln(&text, warning.Err)
	}
	return text.String()
}
