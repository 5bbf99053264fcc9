package server_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Where only images are signed, a reference is whoever's word: that the same image
// was verified before, elsewhere, opens no registry.
func TestVerifiedImageVouchesForNoReference(t *testing.T) {
	w, internal, owner := newWorld(t), newWorld(t), newTeam(t)
	owner.Image = true
	requests := internal.requests()
	published, err := w.catalog.Publish(t.Context(), w.push("os/good", "1"), catalog.PublishOptions{Name: "good", NoAttach: true, Sign: owner})
	if err != nil {
		t.Fatal(err)
	}
	policy := trusting(t, owner, func(rule *trust.Rule) { rule.Require = []trust.Subject{trust.SubjectImage} })
	c := w.under(policy, catalog.Options{})
	w.startReady(func(o *server.Options) {
		o.Catalogs, o.Policy = []*catalog.Catalog{c}, (&policyFile{policy: policy}).Read
	})
	if got := w.verdictsOf("phase=all"); got != "[good verified]" {
		t.Fatalf("before the stranger came: %s", got)
	}
	w.plant("plain", internal.host+"/os/plain:1", digest.Digest(published.Item.Digest))
	w.until("the stranger's entry to be shown", func() bool { return strings.Contains(w.verdictsOf("phase=all"), "plain") })
	if a := w.ask("POST", "/v1/catalog/images/plain/verify?wait=true", ""); !strings.Contains(string(a.body), "--allow-registry") {
		t.Errorf("plain: %d %s, want that its registry is not opened", a.status, a.body)
	}
	if requests.Load() > 0 {
		t.Errorf("a registry that nobody signed was asked %d times", requests.Load())
	}
}

// plant publishes an entry of an image that nobody inspected.
func (w *world) plant(name, image string, sum digest.Digest) {
	w.t.Helper()
	document := planted(name, image)
	document.Image.Digest = sum
	packed, err := revision.Pack(document, revision.Seen{})
	if err != nil {
		w.t.Fatal(err)
	}
	repository, err := w.client.Open(parse(w.t, w.catalog.Reference()))
	if err == nil {
		err = ocilog.New(repository, w.catalog.Reference(), ocilog.Options{}).Append(w.t.Context(), packed, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// late is a catalog that vouches for a reference just before it takes another
// policy.
type late struct {
	server.Source
	reference string
	gate      *gate.Gate // that the server set
}

func (l *late) SetGate(gate *gate.Gate) {
	l.gate = gate
	l.Source.SetGate(gate)
}

func (l *late) SetPolicy(policy *trust.Policy) error {
	l.gate.Vouch(l.reference)
	return l.Source.SetPolicy(policy)
}

// What an evaluation vouches for that is under way when the policy is replaced
// opens nothing afterwards.
func TestVouchedWhileThePolicyIsReplaced(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.signed("good", owner)
	c := w.under(trusting(t, owner), catalog.Options{})
	file := &policyFile{policy: trusting(t, owner)}
	vouching := &late{reference: "internal.example/os/plain:1"}
	w.between = func(c server.Source) server.Source {
		vouching.Source = c
		return vouching
	}
	w.startReady(func(o *server.Options) {
		o.Catalogs, o.Policy = []*catalog.Catalog{c}, file.Read
	})
	file.set(trusting(t, newTeam(t)), nil)
	w.until("the other policy to decide", func() bool { return w.ask("GET", "/v1/catalog/images/good", "").status == 403 })
	if vouching.gate.Check(vouching.reference) == nil {
		t.Error("a registry is opened that only the policy before vouched for")
	}
}
