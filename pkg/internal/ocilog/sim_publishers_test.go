package ocilog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// settled is what a publisher of an image that others publish too was told.
type settled struct {
	tag        revision.Tag
	saw        int          // changes that it saw at least when it settled
	withdrawal revision.Tag // zero where it was told that it published
}

// shared is where images are that several publish.
const shared = "registry.example.com/os/shared"

func asIs(reference string) string { return reference }

// publishShared publishes an image that others publish under other names, as
// catalog.Publish does: it compares, appends and settles.
func (a *actor) publishShared(ctx context.Context, name string) {
	saw := a.schedule.shown(a.repository)
	view, err := a.process.log.Read(ctx, name)
	if err != nil {
		return
	}
	head, err := view.Head(ctx, name, time.Time{})
	if err != nil {
		return
	}
	heads, err := view.HeadsFrom(ctx, shared)
	if err != nil {
		return
	}
	if head != nil && !slices.Contains(heads, head) {
		heads = append(heads, head)
	}
	contenders, err := view.Contenders(ctx, a.counter(), heads, "")
	if err != nil {
		return
	}
	content := 0
	if !a.schedule.setting.rush {
		content = a.rng.IntN(2)
	}
	image := revision.Image{
		Reference: shared, Digest: digest.FromString(fmt.Sprint("shared", content)),
		MediaType: ocispec.MediaTypeImageManifest, Size: 1234,
	}
	same := func(head *revision.Revision) bool {
		return head.Document != nil && revision.SameImage(head.Document.Image, image, asIs)
	}
	conflicts := func(r *revision.Revision) bool {
		return r.Tag.Name != name && same(r) || r.Tag.Name == name && r.Later != ""
	}
	for _, r := range Deciding(ctx, a.counter(), contenders, conflicts) {
		a.schedule.note("%s: does not publish %s: conflict with %s", a.name, name, r.Tag)
		return
	}
	for ties := 0; ties < 4; ties++ {
		own := a.appendImage(ctx, view, name, image, saw)
		if own == nil {
			return
		}
		// Tags were listed after the own one was put: they show that, and what was there before.
		saw = min(a.repository.valid[own.Tag].since+1, a.schedule.shown(a.repository))
		found, err := a.process.log.Settle(ctx, &Settling{Own: own, Same: same, Counter: a.counter(), Before: view, Listed: a.listed, Wait: time.Second})
		if err != nil {
			a.schedule.note("%s: %s is not settled: %v", a.name, own.Tag, err)
			return
		}
		if found.Outcome != SettledTied {
			a.told(ctx, own, found, saw)
			return
		}
		a.schedule.note("%s: %s is tied with %s", a.name, own.Tag, found.By.Tag)
		view = found.View
	}
}

// appendImage appends a publication; nil is one that failed.
func (a *actor) appendImage(ctx context.Context, view *View, name string, image revision.Image, saw int) *revision.Revision {
	a.serial++
	packed, err := revision.Pack(&revision.Document{
		Name: name, Version: fmt.Sprint(a.serial), Catalog: a.repository.id, Image: image, Source: entry.Source{Type: entry.SourceManual},
		PublishedAt: a.nextTime(view, name), PublishedBy: a.name,
	}, view.Seen())
	if err != nil {
		a.schedule.fail("%s cannot pack %s: %v", a.name, name, err)
		return nil
	}
	return a.appendUnpacked(ctx, packed, saw)
}

func (a *actor) appendUnpacked(ctx context.Context, packed *revision.Packed, saw int) *revision.Revision {
	own, err := revision.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		a.schedule.fail("%s cannot unpack %s: %v", a.name, packed.Tag, err)
		return nil
	}
	if a.append(ctx, packed, saw) != nil {
		return nil
	}
	return own
}

// told does what a publisher does who has settled, and notes what it is told.
func (a *actor) told(ctx context.Context, own *revision.Revision, found Settlement, saw int) {
	s := a.schedule
	s.note("%s: %s is settled as %d", a.name, own.Tag, found.Outcome)
	switch found.Outcome {
	case SettledAlone:
		s.publishers = append(s.publishers, settled{tag: own.Tag, saw: saw})
	case SettledWithdraws:
		packed, err := revision.PackRemoval(&revision.Removal{
			Name: own.Tag.Name, Revision: own.Digest, RemovedAt: own.Tag.Time(), RemovedBy: a.name, Catalog: a.repository.id,
		}, found.View.Seen())
		if err != nil {
			s.fail("%s cannot pack the withdrawal of %s: %v", a.name, own.Tag, err)
			return
		}
		s.publishers = append(s.publishers, settled{own.Tag, saw, packed.Tag}) // whether or not it is told that it stands
		_ = a.append(ctx, packed, saw)
	}
}

// checkPublishers checks that nobody was told to have published whose entry was
// withdrawn by another, and that two names have one image only where the registry
// hid one publisher from the other. What was cut short by a crash was told nobody.
func (s *schedule) checkPublishers() {
	for _, told := range s.publishers {
		if told.withdrawal != (revision.Tag{}) || s.repository.disturbed[told.tag.Name] {
			continue
		}
		for _, other := range s.publishers {
			switch {
			case s.hidden(told, other) || s.repository.disturbed[other.tag.Name]:
			case s.withdrew(other, told):
				s.fail("%s was told to be published, and %s ends it", told.tag, other.withdrawal)
			case other.withdrawal == (revision.Tag{}) && told.tag.Name < other.tag.Name && s.decides(told.tag) && s.decides(other.tag) && s.image(told.tag) == s.image(other.tag):
				s.fail("%s and %s were told to be published, and have one image", told.tag, other.tag)
			}
		}
	}
}

// withdrawals returns how many publications were withdrawn.
func (s *schedule) withdrawals() (count int) {
	for _, told := range s.publishers {
		if told.withdrawal != (revision.Tag{}) {
			count++
		}
	}
	return count
}

// hidden reports whether neither of two publishers can be expected to have seen the
// other when it settled.
func (s *schedule) hidden(a, b settled) bool {
	return s.repository.valid[a.tag].since >= b.saw && s.repository.valid[b.tag].since >= a.saw
}

// withdrew reports whether a withdrawal ended another publication than its own.
func (s *schedule) withdrew(other, told settled) bool {
	if other.withdrawal.Name != told.tag.Name || other.tag == told.tag || other.withdrawal.Compare(told.tag) < 0 || s.repository.valid[other.withdrawal].digest == "" {
		return false
	}
	for _, tag := range s.repository.revisions(told.tag.Name, s.setting.policy) {
		if told.tag.Compare(tag) < 0 && tag.Compare(other.withdrawal) < 0 && tag != other.tag {
			return false // it was superseded before
		}
	}
	return true
}

// decides reports whether a revision decides its name.
func (s *schedule) decides(tag revision.Tag) bool {
	all := s.repository.revisions(tag.Name, s.setting.policy)
	return len(all) > 0 && all[len(all)-1] == tag
}

func (s *schedule) image(tag revision.Tag) digest.Digest {
	found, err := revision.Unpack(tag, s.repository.content[s.repository.valid[tag].digest])
	if err != nil || found.Document == nil {
		return ""
	}
	return found.Document.Image.Digest
}

// checkDuplicates checks that a reader who knows nothing finds every image that is
// live under two names, for whatever reason.
func (s *schedule) checkDuplicates(ctx context.Context) {
	cold := &actor{schedule: s, repository: s.repository, name: "who looks for duplicates", rng: s.rng}
	cold.start()
	view, err := cold.process.log.Read(ctx)
	if err != nil {
		return
	}
	heads, err := view.Heads(ctx, time.Time{})
	if err != nil {
		return
	}
	contenders, err := view.Contenders(ctx, cold.counter(), heads, "")
	if err != nil {
		return
	}
	deciding := Deciding(ctx, cold.counter(), contenders, func(*revision.Revision) bool { return true })
	byImage := map[digest.Digest][]string{}
	for _, name := range s.names {
		all := s.repository.revisions(name, s.setting.policy)
		if len(all) > 0 && !s.repository.disturbed[name] {
			image := s.image(all[len(all)-1])
			byImage[image] = append(byImage[image], name)
		}
	}
	delete(byImage, "")
	found := map[string]bool{}
	for _, same := range revision.Duplicates(deciding, asIs) {
		for _, head := range same {
			found[head.Tag.Name] = true
		}
	}
	for _, names := range byImage {
		if len(names) > 1 {
			s.twins++
			if slices.ContainsFunc(names, func(name string) bool { return !found[name] }) {
				s.fail("%v have one image, and the reader finds only %v", names, found)
			}
		}
	}
}

// counter says by the policy of the schedule, if there is one, what counts.
func (a *actor) counter() Counter {
	if !a.schedule.setting.policy {
		return nil
	}
	return signedOnly{a}
}

// signedOnly counts what is signed, and knows nothing by heart.
type signedOnly struct{ *actor }

func (signedOnly) Known(_ context.Context, revisions []*revision.Revision) []bool {
	return make([]bool, len(revisions))
}

func (signedOnly) Never(string) bool { return false }

func (s signedOnly) Count(_ context.Context, revisions []*revision.Revision) []bool {
	counts := make([]bool, len(revisions))
	for i, r := range revisions {
		counts[i] = s.counts(r)
	}
	return counts
}
