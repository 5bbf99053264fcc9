package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// counted is a registry that can be switched off, and counts what it is asked.
type counted struct {
	target
	server  *httptest.Server
	next    http.Handler
	address string // HOST:PORT

	mu       sync.Mutex
	requests []string // METHOD PATH, and ?digest= where it says one
	uploaded int64    // bytes of bodies
}

// newCounted starts a registry of a kind: distribution-3.1, without the Referrers API,
// or ggcr with it.
func newCounted(t testing.TB, kind string) *counted {
	t.Helper()
	c := &counted{next: registries.Distribution3Handler(t.TempDir(), true)}
	if kind == "ggcr" {
		c.next = ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	c.address = strings.TrimPrefix(c.server.URL, "http://")
	c.target = at(c.address, kind, kind == "ggcr")
	return c
}

// ServeHTTP implements http.Handler.
func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	request := r.Method + " " + r.URL.Path
	if digest := r.URL.Query().Get("digest"); digest != "" {
		request += "?digest=" + digest
	}
	c.requests = append(c.requests, request)
	c.mu.Unlock()
	r.Body = &countedBody{r.Body, c}
	c.next.ServeHTTP(w, r)
}

type countedBody struct {
	io.ReadCloser
	of *counted
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.uploaded += int64(n)
	return n, err
}

// taken returns what was asked, and how many bytes came, since the last call.
func (c *counted) taken() (requests []string, uploaded int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	requests, uploaded = c.requests, c.uploaded
	c.requests, c.uploaded = nil, 0
	return requests, uploaded
}

// stop ends the registry: nobody listens on its port any more.
func (c *counted) stop() {
	c.server.CloseClientConnections()
	c.server.Close()
}

// source is a catalog of signed entries of every kind, with their images.
type source struct {
	*world
	of      *counted
	client  *registry.Client
	catalog *catalog.Catalog
	sign    *catalog.Signing
	private string // the key's file, and its other half's
	public  string
}

func newSource(t testing.TB, kind string) *source {
	t.Helper()
	return newSourceOn(t, newCounted(t, kind), registry.Options{})
}

// newSourceOn makes it in a registry that is asked with options.
func newSourceOn(t testing.TB, of *counted, options registry.Options) *source {
	t.Helper()
	private, public := keyFiles(t)
	signer, err := trust.LoadSigner(t.Context(), trust.SignerOptions{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(options)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{world: newWorld(t, of.target), of: of, client: client, sign: &catalog.Signing{Signer: signer}, private: private, public: public}
	if s.catalog, err = catalog.Open(of.target.catalog, catalog.Options{Registry: client}); err != nil {
		t.Fatal(err)
	}
	return s
}

// policy is the file of a policy that wants the source's signatures.
func (s *source) policy() string {
	s.t.Helper()
	path := filepath.Join(filepath.Dir(s.public), "policy.yaml")
	write(s.t, path, "version: 1\ndefault: {keys: [{file: "+filepath.Base(s.public)+"}]}\n")
	return path
}

// fill publishes entries e<from> to e<to>, of every kind in turn.
func (s *source) fill(from, to int) {
	s.t.Helper()
	var group errgroup.Group
	group.SetLimit(4)
	for i := from; i < to; i++ {
		group.Go(func() error { return s.add(i) })
	}
	if err := group.Wait(); err != nil {
		s.t.Fatal(err)
	}
}

// entryKinds are how many kinds of entries there are.
const entryKinds = 10

// entryName is that of an entry: what it says, and its kind.
func entryName(i int) string {
	what := map[int]string{0: "versions", 1: "removed", 2: "late", 3: "attached", 4: "multi", 5: "disk", 6: "both"}[i%entryKinds]
	if what == "" {
		what = "plain"
	}
	return fmt.Sprintf("%s-%04d", what, i)
}

// add publishes an entry of the kind of its number.
func (s *source) add(i int) error {
	ctx, name := s.t.Context(), entryName(i)
	publish := catalog.PublishOptions{Name: name, Version: "1", Sign: s.sign}
	switch i % entryKinds {
	case 0:
		for _, version := range []string{"1", "2"} {
			if err := s.publish(name, version, publish); err != nil {
				return err
			}
		}
		return s.publish(name, "3", publish)
	case 1:
		if err := s.publish(name, "1", publish); err != nil {
			return err
		}
		_, err := s.catalog.Remove(ctx, name, catalog.RemoveOptions{Sign: s.sign})
		return err
	case 2:
		publish.Sign = nil
		if err := s.publish(name, "1", publish); err != nil {
			return err
		}
		_, err := s.catalog.Sign(ctx, name, *s.sign)
		return err
	case 6:
		publish.Sign = &catalog.Signing{Signer: s.sign.Signer, Format: trust.Legacy, Image: true}
	}
	return s.publish(name, "1", publish)
}

// publish makes an image and publishes it.
func (s *source) publish(name, version string, options catalog.PublishOptions) error {
	image := s.on.image(name) + ":" + version
	options.Version = version
	if err := s.build(name, image); err != nil {
		return err
	}
	result, err := s.catalog.Publish(s.t.Context(), image, options)
	if err == nil && result.Item.Name != name {
		err = fmt.Errorf("%s was published, want %s", result.Item.Name, name)
	}
	return err
}

func (s *source) build(name, image string) error {
	ref, err := registry.ParseReference(image)
	if err != nil {
		return err
	}
	to, err := s.client.Open(ref)
	if err != nil {
		return err
	}
	build := samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: name + ref.Tag,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "disk":
		_, err = samples.Disk(s.t.Context(), to, ref.Tag, build)
		return err
	case "multi":
		build.Architectures = []string{"amd64", "arm64"}
	}
	if _, err = samples.Bootc(s.t.Context(), to, ref.Tag, build); err == nil && kind == "attached" {
		_, err = samples.Attach(s.t.Context(), to, ref.Tag, "application/spdx+json", "sbom.spdx.json", []byte(`{"name":"`+name+`"}`))
	}
	return err
}

// items returns what list says of verified entries, by name and without where they are.
func (w *world) items(public string) map[string]map[string]any {
	w.t.Helper()
	var page struct{ Items []map[string]any }
	fromJSON(w.t, w.elsewhere().ok("catalog", "list", "--verified", "--key", public, "-o", "json").Stdout, &page)
	all := map[string]map[string]any{}
	for _, item := range page.Items {
		delete(item, "location")
		all[item["name"].(string)] = item
	}
	return all
}

// history returns all that happened, as a reader with a key sees it.
func (w *world) history(public string) (events any) {
	w.t.Helper()
	text := w.elsewhere().ok("catalog", "history", "--key", public, "-o", "json").Stdout
	if err := json.Unmarshal([]byte(text), &events); err != nil {
		w.t.Fatal(err)
	}
	return events
}

// pulled returns the files that pull makes of an entry.
func (w *world) pulled(name, public string) map[string]string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.ok("catalog", "pull", name, filepath.Join(dir, "pulled"), "--key", public)
	return tree(w.t, dir)
}

// emptyDir is a directory that stays empty, or the test fails.
func emptyDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if found, err := os.ReadDir(dir); err != nil || len(found) > 0 {
			t.Errorf("temporary files: %v, %v, want none", found, err)
		}
	})
	return dir
}
