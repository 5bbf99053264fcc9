package ocilog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// acknowledged is a revision whose writer was told that it is there.
type acknowledged struct {
	tag revision.Tag
	saw int // changes that its writer saw at least when it decided
	at  *repository
}

// decide reads what a writer goes by: a view of a name, its head, and how many
// of the changes that shows at least.
func (a *actor) decide(ctx context.Context, read func(context.Context, ...string) (*View, error), name string) (view *View, head *revision.Revision, saw int, err error) {
	saw = a.schedule.shown(a.repository)
	if view, err = read(ctx, name); err != nil {
		return nil, nil, 0, err
	}
	head, err = view.Head(ctx, name, time.Time{})
	return view, head, saw, err
}

func (a *actor) publish(ctx context.Context, name string) error {
	view, head, saw, err := a.decide(ctx, a.process.log.Read, name)
	if err == nil && head != nil && head.Later != "" && a.counts(head) {
		err = fmt.Errorf("%w: a later format", entry.ErrConflict)
	}
	if err != nil {
		a.schedule.note("%s: does not publish %s: %v", a.name, name, err)
		return err
	}
	a.serial++
	packed, err := revision.Pack(&revision.Document{
		Name: name, Version: fmt.Sprint(a.serial), Catalog: a.repository.id,
		Image: revision.Image{
			Reference: "registry.example.com/os/" + name, Digest: digest.FromString(fmt.Sprint(a.name, a.serial)),
			MediaType: ocispec.MediaTypeImageManifest, Size: 1234,
		},
		Source:      entry.Source{Type: entry.SourceManual},
		PublishedAt: a.nextTime(view, name), PublishedBy: a.name,
	}, view.Seen())
	if err != nil {
		a.schedule.fail("%s cannot pack %s: %v", a.name, name, err)
		return err
	}
	return a.append(ctx, packed, saw)
}

func (a *actor) nextTime(view *View, name string) entry.Time {
	return revision.NextTime(a.schedule.now().Add(a.skew), name, view.Tags())
}

func (a *actor) remove(ctx context.Context, name string) error {
	view, head, saw, err := a.decide(ctx, a.process.log.Read, name)
	if err != nil || head == nil || head.Tag.Op == revision.OpRemove && a.counts(head) {
		a.schedule.note("%s: there is no %s to remove%s", a.name, name, outcome(err))
		return cmp.Or(err, missing(name))
	}
	return a.end(ctx, view, name, head.Digest, saw)
}

// end appends the removal of a revision of a name.
func (a *actor) end(ctx context.Context, view *View, name string, sum digest.Digest, saw int) error {
	packed, err := revision.PackRemoval(&revision.Removal{
		Name: name, Revision: sum, RemovedAt: a.nextTime(view, name), RemovedBy: a.name, Catalog: a.repository.id,
	}, view.Seen())
	if err != nil {
		a.schedule.fail("%s cannot pack the removal of %s: %v", a.name, name, err)
		return err
	}
	return a.append(ctx, packed, saw)
}

// append signs under a policy, as the real catalog does.
func (a *actor) append(ctx context.Context, packed *revision.Packed, saw int) error {
	var sign func(context.Context) error
	if a.schedule.setting.policy {
		sign = func(ctx context.Context) error {
			return a.schedule.wait(ctx, a, "sign "+packed.Tag.String(), func() error {
				a.repository.signed[packed.Descriptor.Digest] = true
				return nil
			})
		}
	}
	listed, err := a.process.log.AppendListed(ctx, packed, sign)
	if a.listed = listed; err != nil {
		a.schedule.note("%s: %s is not acknowledged: %v", a.name, packed.Tag, err)
		return err
	}
	a.schedule.note("%s: %s is acknowledged", a.name, packed.Tag)
	a.schedule.acked = append(a.schedule.acked, acknowledged{packed.Tag, saw, a.repository})
	a.process.tell(packed.Tag)
	return nil
}

// counts reports whether the policy, if there is one, verifies a revision.
func (a *actor) counts(revision *revision.Revision) bool {
	return !a.schedule.setting.policy || a.repository.signed[revision.Digest]
}

// acceptLoss appends what stands of a name of which something was lost, or a
// removal, as catalog.AcceptLoss does.
func (a *actor) acceptLoss(ctx context.Context, name string) error {
	view, head, saw, err := a.decide(ctx, a.process.log.ReadIncomplete, name)
	if err != nil {
		return err
	}
	last := lost(ctx, view, name, head)
	switch {
	case last.Tag == (revision.Tag{}):
		return missing("a loss of " + name)
	case head == nil || head.Tag.Op == revision.OpRemove:
		sum := last.Digest
		if sum == "" && head != nil {
			sum = head.Digest // what cannot be read has no digest of its own
		}
		return a.end(ctx, view, name, sum, saw)
	case head.Later != "" || !a.counts(head):
		return fmt.Errorf("%w: the head is not verified", entry.ErrUntrusted)
	}
	text, err := a.process.log.DocumentText(ctx, head.Tag)
	if err != nil {
		return err
	}
	document := *head.Document
	document.PublishedAt, document.PublishedBy, document.Catalog = a.nextTime(view, name), a.name, a.repository.id
	packed, err := revision.PackRewrite(&document, text, view.Seen())
	if err != nil {
		a.schedule.fail("%s cannot publish %s again: %v", a.name, name, err)
		return err
	}
	return a.append(ctx, packed, saw)
}

// lost is the latest of a name that is lost, as package catalog finds it.
func lost(ctx context.Context, view *View, name string, head *revision.Revision) (last HeadRef) {
	var at revision.Tag
	if head != nil {
		at = head.Tag
	}
	for _, vanished := range view.Vanished(ctx, name, at, time.Time{}) {
		last = vanished.HeadRef
	}
	if head == nil {
		return last
	}
	for _, tag := range view.Unreadable(name, at, time.Time{}) {
		if last.Tag.Compare(tag) < 0 {
			last = HeadRef{Tag: tag}
		}
	}
	return last
}

// snapshot writes one, however little is new.
func (a *actor) snapshot(ctx context.Context) {
	l := a.process.log
	view, err := l.Read(ctx)
	if err != nil {
		return
	}
	base, covered := l.base()
	tail, err := l.readable(ctx, view, l.uncovered(view, base))
	if err != nil || len(tail)+l.behind(view, base, covered) == 0 {
		return
	}
	c := &compaction{log: l, view: view, base: base, tail: tail, written: map[revision.Tag]bool{}}
	if err := c.run(ctx); err != nil {
		a.schedule.note("%s: writes no snapshot: %v", a.name, err)
		return
	}
	if err := l.Save(ctx); err != nil {
		a.schedule.fail("%s: %v", a.name, err)
	}
}
