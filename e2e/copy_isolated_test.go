package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/pkg/registry"
)

// gateway is the only way to registries: a proxy that alone knows their names, and lets
// requests through to those that are open.
type gateway struct {
	registries map[string]*counted // by name
	url        *url.URL
	forward    http.Handler

	mu      sync.Mutex
	open    []string
	passed  map[string]int // requests since the last call of opens, by name
	refused []string       // METHOD URL
}

// newGateway starts registries of the given kinds, by name, and the way to them. None
// is open.
func newGateway(t testing.TB, kinds map[string]string) *gateway {
	t.Helper()
	g := &gateway{registries: map[string]*counted{}}
	for name, kind := range kinds {
		of := newCounted(t, kind)
		of.target = at(name, kind, kind == "ggcr")
		g.registries[name] = of
	}
	g.forward = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Host, r.Out.Host = g.registries[r.In.Host].address, r.In.Host
	}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	var err error
	if g.url, err = url.Parse(server.URL); err != nil {
		t.Fatal(err)
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	open := slices.Contains(g.open, r.Host)
	if open {
		g.passed[r.Host]++
	} else {
		g.refused = append(g.refused, r.Method+" "+r.URL.String())
	}
	g.mu.Unlock()
	if !open {
		http.Error(w, "there is no way to "+r.Host, http.StatusBadGateway)
		return
	}
	g.forward.ServeHTTP(w, r)
}

// opens lets requests through to these registries alone, and returns what was let
// through and what was refused until now.
func (g *gateway) opens(names ...string) (passed map[string]int, refused []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	passed, refused = g.passed, g.refused
	g.open, g.passed, g.refused = names, map[string]int{}, nil
	return passed, refused
}

// way is the environment of programs that reach registries by it.
func (g *gateway) way() []string {
	return []string{"CAIB_PLAIN_HTTP=true", "HTTP_PROXY=" + g.url.String()}
}

// reader is a machine that reaches registries by it.
func (g *gateway) reader(t testing.TB, on target) *world {
	t.Helper()
	w := newWorld(t, on)
	w.way = g.way()
	w.env = append(w.env, w.way...)
	return w
}

// reached requires that these registries were asked since the last call of opens, and
// that nothing was refused but what matches. It closes the way to all.
func (g *gateway) reached(t testing.TB, what string, but *regexp.Regexp, names ...string) {
	t.Helper()
	passed, refused := g.opens()
	asked := len(refused)
	refused = slices.DeleteFunc(refused, func(request string) bool { return but != nil && but.MatchString(request) })
	if len(refused) > 0 {
		t.Errorf("%s asked %d times for what there is no way to, want none:\n%q", what, len(refused), refused[:min(len(refused), 20)])
	}
	for _, name := range names {
		if passed[name] == 0 {
			t.Errorf("%s did not ask %s: %v", what, name, passed)
		}
	}
	t.Logf("%s: %v, and %d refused", what, passed, asked)
}

// ofTags are the requests of verify that only the origin of an image can answer: what
// its tag names now. The image it has from elsewhere, and goes on without an answer.
var ofTags = regexp.MustCompile(`^(GET|HEAD) http://source\.test/v2/os/[^/]+/manifests/[0-9]+$`)

// Where the network lets nothing through but the destination, a reader of a copy or of
// what was restored asks for nothing else, though its source is up.
func TestReadWhereOnlyTheDestinationIs(t *testing.T) {
	t.Parallel()
	g := newGateway(t, map[string]string{"source.test": "ggcr", "mirror.test": "distribution-3.1", "vault.test": "distribution-3.1"})
	s := newSourceOn(t, g.registries["source.test"], registry.Options{
		PlainHTTP: func(string) bool { return true }, Proxy: http.ProxyURL(g.url),
	})
	s.world = g.reader(t, s.of.target)
	g.opens("source.test")
	s.fill(0, entryKinds)
	want := s.show(s.public)
	g.reached(t, "the source's reader", nil, "source.test")

	mirror, vault := target{catalog: "mirror.test/mirror/catalog"}, target{catalog: "vault.test/kept/catalog"}
	g.opens("source.test", "mirror.test")
	s.copyTo(mirror.catalog)
	g.reached(t, "the copy", nil, "source.test", "mirror.test")
	file := filepath.Join(t.TempDir(), "catalog.tar")
	g.opens("source.test")
	s.ok("catalog", "backup", s.on.catalog, file)
	g.reached(t, "the backup", nil, "source.test")
	g.opens("vault.test")
	s.ok("catalog", "restore", file, vault.catalog, "--policy", s.policy())
	g.reached(t, "the restore", nil, "vault.test")

	for name, on := range map[string]target{"mirror.test": mirror, "vault.test": vault} {
		reader := g.reader(t, on)
		g.opens(name)
		reader.shows(s.public, want)
		g.reached(t, "a reader of "+name, nil, name)
		g.opens(name)
		reader.verified(s.public)
		g.reached(t, "verify --all of "+name, ofTags, name)
	}

	g.opens("mirror.test", "vault.test")
	s.elsewhere().exits(8, "catalog", "list")
	if _, refused := g.opens(); len(refused) == 0 {
		t.Error("a reader of the source was refused nothing where only its copies are")
	}
}
