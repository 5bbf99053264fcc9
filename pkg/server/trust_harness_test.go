package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

func newTeam(t testing.TB) *catalog.Signing {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return &catalog.Signing{Signer: signer}
}

// trusting is a policy of one rule: entries, or what it changes, by one team.
func trusting(t testing.TB, team *catalog.Signing, change ...func(*trust.Rule)) *trust.Policy {
	t.Helper()
	rule := &trust.Rule{Keys: []*trust.PublicKey{team.Signer.PublicKey()}}
	for _, change := range change {
		change(rule)
	}
	policy, err := trust.NewPolicy(nil, nil, rule)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func warning(rule *trust.Rule) { rule.Warn = true }

// policyFile is what a server reads its policy from.
type policyFile struct {
	mu     sync.Mutex
	policy *trust.Policy
	err    error
	read   int
	faults int // readings that fail yet, before the others
}

func (p *policyFile) Read() (*trust.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read++
	if p.faults > 0 {
		p.faults--
		return nil, entry.ErrInvalid
	}
	return p.policy, p.err
}

func (p *policyFile) set(policy *trust.Policy, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policy, p.err = policy, err
}

func (p *policyFile) readings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read
}

// under opens the world's catalog under a policy.
func (w *world) under(policy *trust.Policy, options catalog.Options) *catalog.Catalog {
	w.t.Helper()
	options.Registry, options.Policy, options.Recheck = w.client, policy, time.Millisecond
	if options.CacheDir == "" {
		options.CacheDir = w.t.TempDir()
	}
	c, err := catalog.Open(w.host+"/team/catalog", options)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// startUnder starts a server under a policy, and returns where it reads it from.
func (w *world) startUnder(policy *trust.Policy, change func(*server.Options)) *policyFile {
	w.t.Helper()
	file := &policyFile{policy: policy}
	c := w.under(policy, catalog.Options{})
	w.startReady(func(o *server.Options) {
		o.Catalogs, o.Policy = []*catalog.Catalog{c}, file.Read
		if change != nil {
			change(o)
		}
	})
	return file
}

// signed publishes an entry of its own image that somebody signs; nil is nobody.
func (w *world) signed(name string, by *catalog.Signing) {
	w.t.Helper()
	image := w.push("os/"+name, "1")
	if _, err := w.catalog.Publish(w.t.Context(), image, catalog.PublishOptions{Name: name, Version: "1", NoAttach: true, Sign: by}); err != nil {
		w.t.Fatal(err)
	}
}

// later publishes an entry of a later format.
func (w *world) later(name string) {
	w.t.Helper()
	document := planted(name, w.host+"/os/later:1")
	packed, err := revision.Pack(document, revision.Seen{})
	if err != nil {
		w.t.Fatal(err)
	}
	packed.Manifest = []byte(strings.ReplaceAll(string(packed.Manifest), revision.MediaTypeEntry, "application/vnd.caib.catalog.entry.v9+json"))
	sum := digest.FromBytes(packed.Manifest)
	packed.Descriptor = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sum, Size: int64(len(packed.Manifest))}
	packed.Tag = revision.NewTag(name, document.PublishedAt, revision.OpPublish, sum)
	repository, err := w.client.Open(parse(w.t, w.catalog.Reference()))
	if err == nil {
		err = ocilog.New(repository, w.catalog.Reference(), ocilog.Options{}).Append(w.t.Context(), packed, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// requests counts what the registry is asked from now on.
func (w *world) requests() *atomic.Int64 {
	var count atomic.Int64
	w.refusing(func(http.ResponseWriter, *http.Request) bool {
		count.Add(1)
		return false
	})
	return &count
}

// verdictsOf are the names of a list with their verdicts, sorted by name.
func (w *world) verdictsOf(query string) string {
	w.t.Helper()
	var all []string
	for _, item := range w.list("?latest=false&sort=name&" + query).Items {
		all = append(all, item.Name+" "+string(item.Verdict))
	}
	return fmt.Sprint(all)
}
