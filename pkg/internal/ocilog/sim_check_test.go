package ocilog

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// shown is what a reading says of a name.
type shown struct {
	head   revision.Tag // what decides it; zero for nothing
	doubts string       // why the reader is told not to rely on that; "" is no reason
}

// list reads all names, of which it may decode little, and checks what it finds.
func (a *actor) list(ctx context.Context) (map[string]shown, error) {
	saw := a.schedule.shown(a.repository)
	view, err := a.process.log.Read(ctx)
	if err != nil {
		a.schedule.note("%s: list: %v", a.name, err)
		return nil, err
	}
	if !a.schedule.setting.policy && a.rng.IntN(3) == 0 {
		return a.listHeads(ctx, view, saw)
	}
	heads, err := view.Heads(ctx, time.Time{})
	if err != nil {
		a.schedule.note("%s: list: %v", a.name, err)
		return nil, err
	}
	byName := map[string]*revision.Revision{}
	for _, head := range heads {
		byName[head.Tag.Name] = head
	}
	all := map[string]shown{}
	for _, name := range a.schedule.names {
		all[name] = a.evaluate(ctx, view, name, byName[name])
	}
	a.finish(ctx, all, saw)
	return all, nil
}

// get reads one name.
func (a *actor) get(ctx context.Context, name string) {
	saw := a.schedule.shown(a.repository)
	view, err := a.process.log.Read(ctx, name)
	if err != nil {
		a.schedule.note("%s: get %s: %v", a.name, name, err)
		return
	}
	head, err := view.Head(ctx, name, time.Time{})
	if err != nil {
		a.schedule.note("%s: get %s: %v", a.name, name, err)
		return
	}
	a.finish(ctx, map[string]shown{name: a.evaluate(ctx, view, name, head)}, saw)
}

// listHeads is list for a program that keeps what entries say by itself. What is
// not live is not told apart.
func (a *actor) listHeads(ctx context.Context, view *View, saw int) (map[string]shown, error) {
	live, _, err := view.HeadRefs(ctx)
	if err != nil {
		a.schedule.note("%s: heads: %v", a.name, err)
		return nil, err
	}
	isLive := map[revision.Tag]bool{}
	for _, head := range live {
		isLive[head.Tag] = true
		if head.Tag.Op != revision.OpPublish {
			a.schedule.fail("%s is shown %s as live", a.name, head.Tag)
		}
	}
	all := map[string]shown{}
	for _, name := range a.schedule.names {
		var found shown
		there := slices.DeleteFunc(slices.Clone(view.of(name)), view.isNone)
		if len(there) > 0 {
			found.head = there[len(there)-1]
		}
		laterFormat := found.head.Op == revision.OpPublish && !isLive[found.head]
		found.doubts = a.warnings(ctx, view, name, found.head, laterFormat)
		all[name] = found
	}
	a.finish(ctx, all, saw)
	return all, nil
}

// warnings returns what a reader without a policy is told about a name, if there
// is a reason to doubt what decides it.
func (a *actor) warnings(ctx context.Context, view *View, name string, head revision.Tag, laterFormat bool) string {
	missed, unreadable := view.Vanished(ctx, name, head, time.Time{}), view.Unreadable(name, head, time.Time{})
	if len(missed)+len(unreadable) == 0 && !laterFormat {
		return ""
	}
	var about []string
	for _, warning := range view.Warnings() {
		if strings.Contains(warning.Error(), name) {
			about = append(about, warning.Error())
		}
	}
	if len(about) == 0 {
		a.schedule.fail("%s is not told that %s is doubtful: vanished %v, unreadable %v", a.name, name, missed, unreadable)
	}
	return strings.Join(about, "; ")
}

// evaluate does what package catalog does with a head: without a policy, warnings
// are all there is; with one, the head must be signed, and nothing that was signed
// or cannot be read may be later.
func (a *actor) evaluate(ctx context.Context, view *View, name string, head *revision.Revision) shown {
	s := a.schedule
	var found shown
	if head != nil {
		found.head = head.Tag
	}
	missed := view.Vanished(ctx, name, found.head, time.Time{})
	for _, vanished := range missed {
		if vanished.Digest == "" || a.repository.valid[vanished.Tag].digest != vanished.Digest {
			s.fail("%s misses %s with digest %q, which was never there", a.name, vanished.Tag, vanished.Digest)
		}
	}
	if !s.setting.policy {
		found.doubts = a.warnings(ctx, view, name, found.head, head != nil && head.Later != "")
		return found
	}
	doubt := func(why string) { found.doubts = why }
	if head != nil && a.repository.signed[head.Digest] {
		a.process.log.Confirm(head.Tag)
	} else if head != nil {
		doubt("not signed")
		if by := a.repository.valid[head.Tag].by; by != "adversary" {
			s.fail("%s reads %s of %s before it is signed", a.name, head.Tag, by)
		}
	}
	if unreadable := view.Unreadable(name, found.head, time.Time{}); len(unreadable) > 0 {
		doubt("unreadable: " + unreadable[0].String())
	}
	for _, vanished := range missed {
		if a.repository.signed[vanished.Digest] {
			a.process.log.Confirm(vanished.Tag)
			doubt("vanished: " + vanished.Tag.String())
		}
	}
	if err := a.process.log.Save(ctx); err != nil {
		s.fail("%s: save: %v", a.name, err)
	}
	return found
}

// finish checks what a reading shows, and records that its reader was told.
func (a *actor) finish(ctx context.Context, all map[string]shown, saw int) {
	if ctx.Err() != nil {
		return // it ended before it could tell anybody
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a.check(name, all[name], saw)
	}
}

func (a *actor) check(name string, found shown, saw int) {
	s := a.schedule
	s.note("%s: is shown %s as %s, doubts %q", a.name, name, found.head, found.doubts)
	if is := a.repository.valid[found.head]; found.head != (revision.Tag{}) && is.digest == "" {
		s.fail("%s is shown %s, which never stood", a.name, found.head)
	}
	if found.head.Millis > epoch.Add(maxAhead).UnixMilli() {
		s.fail("%s is shown %s, which is dated too far ahead", a.name, found.head)
	}
	if found.doubts != "" {
		quiet := !s.setting.adversary && !s.setting.prunes && s.setting.lag == 0
		if quiet || s.settled && !a.repository.disturbed[name] {
			s.fail("%s doubts %s without a reason: %s", a.name, name, found.doubts)
		}
		return
	}
	if before := a.process.told[name]; found.head.Compare(before) < 0 {
		s.fail("%s goes back silently: it was shown %s and is shown %s", a.name, before, found.head)
	}
	if least := a.repository.inPlainSight(name, saw, s.setting.policy); found.head.Compare(least) < 0 {
		s.fail("%s is shown %s of %s while %s is in plain sight", a.name, found.head, name, least)
	}
	if found.head != (revision.Tag{}) {
		a.process.tell(found.head)
	}
}

// end checks the invariants that hold when everybody is done, nothing lags and
// the adversary has left, but for what it did.
func (s *schedule) end(ctx context.Context) {
	s.settled = true
	s.note("the end: nothing lags, nothing is hidden")
	clear(s.repository.hidden)
	time.Sleep(2 * mismatchFor)
	s.checkAcknowledged()
	s.checkPublishers()
	s.checkEditors()
	s.checkDuplicates(ctx)
	s.agree(ctx, s.repository)
}

// agree checks that all readers of a repository are shown the same, once every loss was
// accepted.
func (s *schedule) agree(ctx context.Context, r *repository) {
	readers := s.readers(r)
	for range 6 {
		doubtful, agreed := s.compare(ctx, readers)
		if s.failed != "" || agreed {
			return
		}
		for _, a := range doubtful {
			s.repair(ctx, a)
		}
	}
	s.fail("readers do not agree although every loss was accepted")
}

// checkAcknowledged checks that what was acknowledged was not superseded by
// anything that its writer could see.
func (s *schedule) checkAcknowledged() {
	for _, ack := range s.acked {
		for _, other := range ack.at.revisions(ack.tag.Name, s.setting.policy) {
			if ack.tag.Compare(other) < 0 && ack.at.valid[other].since < ack.saw && !ack.at.isDisturbed(other) {
				s.fail("%s was acknowledged and is lost: %s stood before", ack.tag, other)
			}
		}
	}
}

// readers returns those who read a repository in the end: each actor as it is, a new process
// on each state, and one that knows nothing.
func (s *schedule) readers(r *repository) (all []*actor) {
	cold := &actor{schedule: s, repository: r, name: "cold reader", rng: s.rng}
	cold.start()
	for _, a := range s.actors {
		if a.hostile || a.repository != r {
			continue
		}
		if a.process != nil {
			all = append(all, a)
		}
		if a.keeps != nil {
			fresh := &actor{schedule: s, repository: a.repository, name: "new " + a.name, rng: s.rng, keeps: a.keeps, skew: a.skew}
			fresh.start()
			all = append(all, fresh)
		}
	}
	return append(all, cold)
}

// compare returns the readers that have doubts, and reports whether all are
// shown the same without any.
func (s *schedule) compare(ctx context.Context, readers []*actor) (doubtful []*actor, agreed bool) {
	var first map[string]shown
	agreed = true
	for _, a := range readers {
		all, err := a.list(ctx)
		doubts := err != nil
		for name, found := range all {
			doubts = doubts || found.doubts != ""
			agreed = agreed && (first == nil || first[name] == found)
		}
		if doubts {
			doubtful = append(doubtful, a)
		}
		if first == nil {
			first = all
		}
	}
	return doubtful, agreed && len(doubtful) == 0
}

// repair accepts every loss that a reader has, and publishes or removes again
// what the adversary has in hand.
func (s *schedule) repair(ctx context.Context, a *actor) {
	all, err := a.list(ctx)
	for _, name := range s.names {
		if err == nil && all[name].doubts == "" {
			continue
		}
		if a.acceptLoss(ctx, name) == nil || err != nil || a.publish(ctx, name) == nil {
			continue
		}
		_ = a.remove(ctx, name)
	}
}
