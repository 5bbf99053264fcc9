package ocilog

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// newCopySchedule makes a history of two or three repositories with one log between
// them: writers at both ends, readers everywhere, and some who copy any of them into any
// other one, whole or in part: a mirror, a backup, what is restored from it, a repair.
func newCopySchedule(seed uint64, dir string) *schedule {
	s := newSchedule(seed, dir)
	s.setting.rush, s.actors, s.states = false, nil, 0
	for i := range 1 + s.rng.IntN(2) {
		s.others = append(s.others, newRepository(fmt.Sprint(simulated, "-", i+2)))
	}
	s.setting.adversary, s.setting.prunes = s.rng.IntN(3) == 0, s.rng.IntN(2) == 0
	s.names = s.names[:min(len(s.names), 1+s.rng.IntN(2)+s.rng.IntN(2))]
	add := func(name string, at *repository) *actor {
		a := &actor{schedule: s, repository: at, index: len(s.actors), name: name, rng: rand.New(rand.NewPCG(s.seed, uint64(2+len(s.actors))))}
		a.restarts, a.turns = a.rng.IntN(3) > 0, 3+a.rng.IntN(3)
		if a.rng.IntN(3) > 0 {
			a.keeps = s.newKeeper()
		}
		s.actors = append(s.actors, a)
		return a
	}
	all := s.repositories()
	for i, at := range []*repository{all[0], all[0], all[1]}[s.rng.IntN(2):] {
		add(fmt.Sprintf("writer %d", i+1), at).writes = true
	}
	for i := range 2 + s.rng.IntN(2) {
		add(fmt.Sprintf("copier %d", i+1), all[(i+s.rng.IntN(2))%len(all)]).copier = true
	}
	for i, at := range all {
		add(fmt.Sprintf("reader %d", i+1), at)
	}
	if s.setting.prunes {
		add("pruner", all[s.rng.IntN(2)]).prunes = true
	}
	if s.setting.adversary {
		a := add("adversary", all[s.rng.IntN(2)])
		a.hostile, a.keeps, a.turns = true, nil, 4+s.rng.IntN(5)
	}
	return s
}

func (s *schedule) repositories() []*repository {
	return append([]*repository{s.repository}, s.others...)
}

// copying is a copy under way.
type copying struct {
	from, to *repository
	saw      int                     // changes of from that it sees at least
	sawTo    int                     // changes of to, likewise
	told     map[string]revision.Tag // what the copier was shown of from, by name
	options  CopyOptions
	rules    string // for the trace
}

// copyAnywhere copies the actor's repository into another one, most often in part.
func (a *actor) copyAnywhere(ctx context.Context) {
	s := a.schedule
	others := slices.DeleteFunc(s.repositories(), func(r *repository) bool { return r == a.repository })
	options, rules := CopyOptions{}, ""
	if a.rng.IntN(3) == 0 {
		name := s.names[a.rng.IntN(len(s.names))]
		options.Select, rules = func(other string) bool { return other == name }, " of "+name
	}
	if a.rng.IntN(3) == 0 {
		options.Versions = 1 + a.rng.IntN(2)
		rules += fmt.Sprintf(" versions %d", options.Versions)
	}
	if a.rng.IntN(3) == 0 {
		options.Since = epoch.Add(time.Duration(a.rng.IntN(s.steps+1)) * time.Millisecond / 4)
		rules += fmt.Sprintf(" since %s", options.Since)
	}
	a.copyTo(ctx, others[a.rng.IntN(len(others))], options, rules)
}

// copyTo copies the actor's repository, and checks what a copy that ends well has to have
// done.
func (a *actor) copyTo(ctx context.Context, to *repository, options CopyOptions, rules string) {
	s := a.schedule
	c := &copying{from: a.repository, to: to, saw: s.shown(a.repository), sawTo: s.shown(to), told: maps.Clone(a.process.told), rules: rules}
	s.note("%s: copies %s to %s%s", a.name, c.from.id, c.to.id, rules)
	view, err := a.process.log.Read(ctx)
	if err != nil {
		s.note("%s: copies nothing: %v", a.name, err)
		return
	}
	options.Parallel = 1
	if s.setting.policy {
		options.Refuse = func(_ context.Context, head *revision.Revision) error {
			if !c.from.signed[head.Digest] {
				return fmt.Errorf("%w: %s is not signed", entry.ErrUntrusted, head.Tag)
			}
			return nil
		}
		options.Before = func(ctx context.Context, item *CopyItem) error {
			sum := item.Revision.Digest
			return s.wait(ctx, a, "sign "+item.Revision.Tag.String(), func() error {
				if c.from.signed[sum] {
					c.to.signed[sum] = true
				}
				return nil
			})
		}
	}
	c.options = options
	log := New(&connection{schedule: s, actor: a, repository: to, copying: c}, to.id, Options{
		Parallel: 1, Now: func() time.Time { return s.now().Add(a.skew) }, Visible: time.Second,
	})
	plan, err := PlanCopy(ctx, view, log, options)
	if err != nil {
		s.note("%s: plans no copy: %v", a.name, err)
		return
	}
	for _, n := range plan.Names {
		if n.Kept == nil {
			a.process.tell(n.Head.Tag)
			c.told[n.Name] = n.Head.Tag
		}
	}
	result, err := plan.Run(ctx)
	s.note("%s: copied %d, present %d, kept back %v%s", a.name, result.Copied, result.Present, result.Kept, outcome(err))
	if err == nil && ctx.Err() == nil {
		c.checkDone(s, a.name, result)
	}
}

// prune deletes one tag of what is superseded, as whoever prunes may: neither what
// decides a name nor its last removal.
func (a *actor) prune(ctx context.Context) {
	_ = a.schedule.wait(ctx, a, "prunes", func() error {
		r := a.repository
		var old []revision.Tag
		for _, name := range a.schedule.names {
			old = append(old, r.superseded(name, a.schedule.setting.policy)...)
		}
		if len(old) > 0 {
			tag := old[a.rng.IntN(len(old))]
			a.schedule.note("%s: %s of %s", a.name, tag, r.id)
			r.pruned[tag.String()] = true
			r.changes = append(r.changes, change{tag.String(), ""})
		}
		return nil
	})
}

// superseded returns what may be pruned of a name.
func (r *repository) superseded(name string, policy bool) (old []revision.Tag) {
	standing := r.standing(name)
	safe := func(tags []revision.Tag) (kept map[revision.Tag]bool) {
		kept = map[revision.Tag]bool{}
		if n := len(tags); n > 0 {
			kept[tags[n-1]] = true
		}
		for _, tag := range slices.Backward(tags) {
			if tag.Op == revision.OpRemove {
				kept[tag] = true
				break
			}
		}
		return kept
	}
	counts := slices.DeleteFunc(slices.Clone(standing), func(tag revision.Tag) bool {
		return r.tampered[tag.String()] || policy && !r.signed[r.valid[tag].digest]
	})
	all, ours := safe(standing), safe(counts)
	for _, tag := range standing {
		if !all[tag] && !ours[tag] && len(counts) > 0 && tag.Compare(counts[len(counts)-1]) < 0 {
			old = append(old, tag)
		}
	}
	return old
}

// standing returns the valid revisions of a name that are there now, in log order, but
// for what is dated too far ahead.
func (r *repository) standing(name string) []revision.Tag {
	now := r.at(len(r.changes))
	return slices.DeleteFunc(r.revisions(name, false), func(tag revision.Tag) bool { return now[tag.String()] != r.valid[tag].digest })
}

// check checks a revision that is about to get its tag in the destination: it was
// there, and if readers will be shown it, nothing later was, nor was the copier told of
// anything later. It returns who wrote it first.
func (c *copying) check(s *schedule, reference string, sum digest.Digest, by string) string {
	tag, ok := revision.ParseTag(reference)
	if !ok || tag.Op == revision.OpSnapshot {
		return by
	}
	c.to.disturbed[tag.Name] = c.to.disturbed[tag.Name] || c.from.disturbed[tag.Name]
	is := c.from.valid[tag]
	if is.digest != sum {
		s.fail("%s copies %s to %s, which never stood in %s", by, tag, c.to.id, c.from.id)
		return by
	}
	if standing := c.to.standing(tag.Name); len(standing) > 0 && tag.Compare(standing[len(standing)-1]) <= 0 {
		return is.by
	}
	for _, least := range []struct {
		tag  revision.Tag
		what string
	}{
		{c.from.inPlainSight(tag.Name, c.saw, false), "in plain sight"},
		{c.told[tag.Name], "what the copier saw"},
		{c.overwritten(tag.Name), "overwritten"},
	} {
		if tag.Compare(least.tag) < 0 && !c.disturbed(least.tag) {
			s.fail("%s copies %s to %s as the head, while %s is %s in %s", by, tag, c.to.id, least.tag, least.what, c.from.id)
		}
	}
	return is.by
}

// overwritten returns the last revision of a name that was overwritten before the copier
// looked, and is listed.
func (c *copying) overwritten(name string) (last revision.Tag) {
	now := c.from.at(len(c.from.changes))
	for _, tag := range c.from.revisions(name, false) {
		text := tag.String()
		if is := now[text]; is != "" && is != c.from.valid[tag].digest && c.from.since[text] < c.saw && !c.from.hidden[text] {
			last = tag
		}
	}
	return last
}

// disturbed reports whether the adversary was at a tag of the destination after the
// copier had looked.
func (c *copying) disturbed(tag revision.Tag) bool {
	return c.to.tampered[tag.String()] && c.to.since[tag.String()] >= c.sawTo
}

// checkDone checks that the destination has what a copy is for, but for what others took
// away meanwhile. Of what was overwritten there before, a snapshot may tell the copier,
// and every other reader.
func (c *copying) checkDone(s *schedule, by string, result CopyResult) {
	kept := map[string]bool{}
	for _, k := range result.Kept {
		kept[k.Name] = true
	}
	had := map[string]bool{}
	for text := range c.to.at(c.sawTo) {
		if tag, ok := revision.ParseTag(text); ok && !c.to.isDisturbed(tag) && tag.Millis < epoch.Add(maxAhead).UnixMilli() {
			had[tag.Name] = true
		}
	}
	for _, name := range s.names {
		if kept[name] || c.options.Select != nil && !c.options.Select(name) && !had[name] {
			continue
		}
		head, removal := c.from.inPlainSight(name, c.saw, false), c.from.lastRemoval(name, c.saw)
		if head != (revision.Tag{}) && !c.has(head, func(revision.Tag) bool { return true }) {
			s.fail("%s has copied%s from %s to %s, which lacks %s", by, c.rules, c.from.id, c.to.id, head)
		}
		if removal != (revision.Tag{}) && !c.has(removal, func(tag revision.Tag) bool { return tag.Op == revision.OpRemove }) {
			s.fail("%s has copied%s from %s to %s, which lacks the removal %s", by, c.rules, c.from.id, c.to.id, removal)
		}
	}
}

// has reports whether the destination has a revision, or a later one of its name that
// counts, or had it until others took it away: the adversary, or somebody who pruned it
// while something later stood.
func (c *copying) has(least revision.Tag, counts func(revision.Tag) bool) bool {
	standing := c.to.standing(least.Name)
	return c.to.tampered[least.String()] || slices.ContainsFunc(c.to.revisions(least.Name, false), func(tag revision.Tag) bool {
		return least.Compare(tag) <= 0 && counts(tag) && (slices.Contains(standing, tag) || c.disturbed(tag) || c.to.pruned[tag.String()])
	})
}

// lastRemoval is inPlainSight for removals.
func (r *repository) lastRemoval(name string, version int) revision.Tag {
	for _, tag := range slices.Backward(r.revisions(name, false)) {
		if tag.Op == revision.OpRemove && r.valid[tag].since < version && !r.isDisturbed(tag) {
			return tag
		}
	}
	return revision.Tag{}
}
