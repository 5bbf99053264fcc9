package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// warning is a policy that only warns of what a key has not signed.
func warning(t testing.TB, s *catalog.Signing) *trust.Policy {
	t.Helper()
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{s.Signer.PublicKey()}, Warn: true})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// strangersWord is an entry of which somebody without a key said something.
type strangersWord struct {
	*world
	t     *testing.T
	image string
	state string
	now   time.Time
	owner *catalog.Signing
}

// at opens the catalog under a policy that only warns, some time ago.
func (s *strangersWord) at(ago time.Duration) *catalog.Catalog {
	return s.open(catalog.Options{CacheDir: s.t.TempDir(), StateDir: s.state, Policy: warning(s.t, s.owner), Now: func() time.Time { return s.now.Add(-ago) }})
}

// say appends the stranger's word: a publication and, where that is asked for, its removal; and
// puts something of the owner's behind it that is gone then.
func (s *strangersWord) say(t *testing.T, ago time.Duration, removed, lost bool) {
	t.Helper()
	s.forge(revision.Document{Name: "app", Description: "forged", Image: s.described("os/app", "1")}, s.now.Add(-ago))
	if removed {
		stranger := s.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return s.now.Add(-ago + time.Minute) }})
		if _, err := stranger.Remove(t.Context(), "app", catalog.RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if lost {
		last := s.publish(s.at(ago-2*time.Minute), s.image, catalog.PublishOptions{Name: "app", Version: "9", Sign: s.owner})
		if _, err := s.at(0).Get(t.Context(), "app", catalog.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		s.remove(last.Tag)
	}
}

func (s *strangersWord) edit(sign *catalog.Signing) error {
	_, err := s.at(0).Edit(s.t.Context(), "app", entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{Sign: sign, DryRun: sign == nil})
	return err
}

func (s *strangersWord) republish(sign *catalog.Signing) error {
	_, err := s.at(0).Republish(s.t.Context(), "app", catalog.PublishOptions{Version: "2", Sign: sign, DryRun: sign == nil})
	return err
}

func (s *strangersWord) inherit(sign *catalog.Signing) error {
	result, err := s.at(0).Publish(s.t.Context(), s.image, catalog.PublishOptions{Name: "app", Version: "2", Inherit: true, Sign: sign, DryRun: sign == nil})
	if err == nil && result.Item.Description != "forged" {
		s.t.Errorf("inherited %q", result.Item.Description)
	}
	return err
}

func (s *strangersWord) acceptLoss(sign *catalog.Signing) error {
	_, err := s.at(0).AcceptLoss(s.t.Context(), "app", catalog.AcceptLossOptions{Sign: sign})
	return err
}

// Under a policy that only warns, nothing of what a stranger says is signed by a
// change to it; what is verified can be changed, and so can the stranger's word by
// who does not sign.
func TestNoSignatureForAStrangersWord(t *testing.T) {
	s := &strangersWord{world: newWorld(t, true, nil), t: t, state: t.TempDir(), now: time.Now(), owner: team(t)}
	s.image = s.push("os/app", "1", "1")
	for i, act := range []struct {
		name          string
		removed, lost bool
		do            func(sign *catalog.Signing) error
	}{
		{"edit", false, false, s.edit},
		{"republish", false, false, s.republish},
		{"inherit", false, false, s.inherit},
		{"accept the loss", false, true, s.acceptLoss},
		{"accept the loss behind a removal", true, true, s.acceptLoss},
	} {
		t.Run(act.name, func(t *testing.T) {
			s.say(t, time.Hour-time.Duration(i)*10*time.Minute, act.removed, act.lost)
			var err error
			wrote := writes(s.counter.during(func() { err = act.do(s.owner) }))
			refused, _ := errors.AsType[*trust.Error](err)
			if refused == nil || !errors.Is(err, entry.ErrUntrusted) || len(wrote) > 0 {
				t.Errorf("signed: error %v, wrote %v; want it refused, and nothing written", err, wrote)
			}
			if err := act.do(nil); err != nil {
				t.Errorf("unsigned: %v", err)
			}
		})
	}
	s.publish(s.at(5*time.Minute), s.image, catalog.PublishOptions{Name: "app", Description: "ours", Sign: s.owner})
	if err := s.edit(s.owner); err != nil {
		t.Errorf("an edit of what is verified: %v", err)
	}
}
