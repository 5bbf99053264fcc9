package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// twoPublishers are publishers with a key each, and a policy that names both.
type twoPublishers struct {
	*world
	t              *testing.T
	between        *interruption
	policy         *trust.Policy
	mine, other    *catalog.Signing
	image, another string
	now            time.Time
}

func newTwoPublishers(t *testing.T) *twoPublishers {
	t.Helper()
	p := &twoPublishers{t: t, between: &interruption{}, mine: team(t), other: team(t), now: time.Now()}
	p.world = newWorld(t, true, func(next http.Handler) http.Handler { return dateless(p.between.wrap(next)) })
	var err error
	if p.policy, err = trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{p.mine.Signer.PublicKey(), p.other.Signer.PublicKey()}}); err != nil {
		t.Fatal(err)
	}
	p.image, p.another = p.push("os/image", "1", "1"), p.push("os/another", "1", "2")
	return p
}

// at opens the catalog as a process that knows nothing of it does; a nil policy is none.
func (p *twoPublishers) at(clock time.Duration, policy *trust.Policy) *catalog.Catalog {
	return p.open(catalog.Options{CacheDir: p.t.TempDir(), StateDir: p.t.TempDir(), Policy: policy, Now: func() time.Time { return p.now.Add(clock) }})
}

// collide publishes the image as "mine" while the other one, who is earlier, publishes
// it as "other", and checks that "mine" is withdrawn.
func (p *twoPublishers) collide() catalog.PublishResult {
	p.t.Helper()
	var done error
	p.between.commits = func() {
		_, done = p.at(-time.Minute, p.policy).Publish(p.t.Context(), p.image, catalog.PublishOptions{Name: "other", Sign: p.other})
	}
	result, err := p.at(0, p.policy).Publish(p.t.Context(), p.image, catalog.PublishOptions{Name: "mine", Sign: p.mine})
	if done != nil {
		p.t.Fatalf("the other: %v", done)
	}
	checkConflict(p.t, err, `; "mine" was withdrawn`, "other")
	return result
}

// checkEnded checks that a reader shows "other" and refuses nothing, and that "mine" is
// removed for good: not found, and not refused.
func (p *twoPublishers) checkEnded(what string, policy *trust.Policy) {
	p.t.Helper()
	c := p.at(0, policy)
	page, err := c.List(p.t.Context(), catalog.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Name != "other" || len(page.Refused) > 0 {
		p.t.Errorf("%s: %d entries, refused %v, %v; want other alone", what, len(page.Items), refusals(page.Refused), err)
	}
	if _, err := c.Get(p.t.Context(), "mine", catalog.GetOptions{}); !errors.Is(err, entry.ErrNotFound) || errors.Is(err, entry.ErrUntrusted) {
		p.t.Errorf("%s: get mine: %v, want that it is not found", what, err)
	}
}

// history returns what happened to "mine", as the policy sees it.
func (p *twoPublishers) history() (said []string) {
	p.t.Helper()
	events, err := p.at(0, p.policy).History(p.t.Context(), "mine")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, event := range events {
		said = append(said, event.Operation+" "+string(event.Verdict))
	}
	return said
}

// A withdrawal is signed like the publication that it ends, so readers under a policy
// believe it.
func TestAWithdrawalIsSigned(t *testing.T) {
	p := newTwoPublishers(t)
	p.collide()
	p.checkEnded("under the policy", p.policy)
	p.checkEnded("without a policy", nil)
	if diff := cmp.Diff([]string{"publish verified", "remove verified"}, p.history()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	events, err := p.at(0, p.policy).History(t.Context(), "mine")
	if err != nil || len(events) != 2 || !events[0].At.Equal(events[1].At.Time) {
		t.Errorf("history %+v, %v; want a removal at the time of the publication", events, err)
	}
	if _, err := p.at(0, trusting(t, p.other)).Get(t.Context(), "mine", catalog.GetOptions{}); !errors.Is(err, entry.ErrUntrusted) {
		t.Errorf("where the policy does not name its signer: %v, want it refused", err)
	}
}

// A publication that follows one of the far future, which the policy verifies, is
// withdrawn there: its removal has the same time. Who has no policy sees neither.
func TestAWithdrawalInTheFarFuture(t *testing.T) {
	p := newTwoPublishers(t)
	ahead := p.at(25*time.Hour, p.policy)
	p.publish(ahead, p.another, catalog.PublishOptions{Name: "mine", Sign: p.mine})
	last, err := ahead.Remove(t.Context(), "mine", catalog.RemoveOptions{Sign: p.mine})
	if err != nil {
		t.Fatal(err)
	}
	result := p.collide()
	if !result.Item.PublishedAt.After(last.Event.At.Time) {
		t.Errorf("it was dated %s, want it after %s, which the policy verifies", result.Item.PublishedAt, last.Event.At)
	}
	p.checkEnded("under the policy", p.policy)
	p.checkEnded("without a policy", nil)
	if diff := cmp.Diff([]string{"publish verified", "remove verified", "publish verified", "remove verified"}, p.history()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// What nobody signed and is dated too far ahead withdraws no publication, and nobody
// withdraws for its sake.
func TestTheFarFutureWithdrawsNothing(t *testing.T) {
	p := newTwoPublishers(t)
	stranger := p.at(25*time.Hour, nil)
	p.publish(stranger, p.image, catalog.PublishOptions{Name: "squat"})
	p.between.commits = func() {
		p.publish(stranger, p.another, catalog.PublishOptions{Name: "mine"})
		if _, err := stranger.Remove(t.Context(), "mine", catalog.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
	result, err := p.at(0, p.policy).Publish(t.Context(), p.image, catalog.PublishOptions{Name: "mine", Sign: p.mine})
	if err != nil || result.Outcome != catalog.Published {
		t.Fatalf("%s, %v; want it published", result.Outcome, err)
	}
	for what, policy := range map[string]*trust.Policy{"under the policy": p.policy, "without a policy": nil} {
		item, err := p.at(0, policy).Get(t.Context(), "mine", catalog.GetOptions{})
		if err != nil || item.Revision != result.Item.Revision || !strings.Contains(item.RegistryURL, "os/image") {
			t.Errorf("%s: %s of %s, %v; want what was published", what, item.Revision, item.RegistryURL, err)
		}
	}
}
