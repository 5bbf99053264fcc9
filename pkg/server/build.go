package server

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/trust"
)

// show makes a new state of the last looks, unless what they showed is served
// already. A catalog that was never read keeps all of them waiting.
func (f *follower) show(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	looks, found := make([]*catalog.View, len(f.followed)), make([]*catalog.Evaluation, len(f.followed))
	for n, one := range f.followed {
		looks[n], found[n] = one.lastEvaluated()
		if looks[n] == nil || found[n] == nil && f.server.options.Policy != nil {
			return nil
		}
	}
	if slices.EqualFunc(looks, f.shown, (*catalog.View).Equal) && slices.Equal(found, f.found) {
		f.shown = looks
		return nil
	}
	return f.build(ctx, looks, found)
}

// again makes a new state of what is shown, with what probes found out since.
func (f *follower) again(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	if f.shown == nil {
		return nil
	}
	return f.build(ctx, f.shown, f.found)
}

// build makes the state that shows looks and what was found of them, if it is
// another one than is served, and says what happened. The caller holds the lock of
// building.
func (f *follower) build(ctx context.Context, looks []*catalog.View, found []*catalog.Evaluation) error {
	s := f.server
	old := s.state.Load()
	policy, ok := policyOf(found)
	if !ok {
		return nil // some catalogs were evaluated under an older one, and are about to be again
	}
	images, refused, err := f.images(ctx, old, looks, found)
	if err == nil && s.monitor != nil {
		err = f.watch(images, looks)
	}
	if err != nil {
		return err
	}
	f.shown, f.found = looks, found
	f.outdated.Store(slices.ContainsFunc(images, func(i *image) bool { return i.finding != nil && i.finding.Stale }))
	if old != nil && !old.recalled && old.policy == policy && slices.Equal(old.images, images) && slices.EqualFunc(old.refusals, refused, (*refusal).same) {
		return nil
	}
	next := newState(old, images, policy, refused)
	s.state.Store(next)
	s.events.changed(old, next)
	return nil
}

// policyOf returns the policy that all evaluations were made under, and whether
// there is one for all of them.
func policyOf(found []*catalog.Evaluation) (policy *trust.Policy, ok bool) {
	for n, evaluation := range found {
		var its *trust.Policy
		if evaluation != nil {
			its = evaluation.Policy
		}
		if n > 0 && its != policy {
			return nil, false
		}
		policy = its
	}
	return policy, true
}

// images returns those of all live entries that the policy lets through, the old
// ones where they are of the same revision and verdict, and what it refuses. What
// was recalled from the disk is not believed.
func (f *follower) images(ctx context.Context, old *state, looks []*catalog.View, found []*catalog.Evaluation) (all []*image, refused []*refusal, err error) {
	for n, look := range looks {
		label := f.label(f.followed[n])
		live := look.Live()
		own := make([]*image, len(live))
		missing := map[string]*catalog.Finding{}
		for k, head := range live {
			if old != nil && !old.recalled {
				own[k] = old.find(health.Key{Catalog: label, Name: head.Name})
			}
			finding := findingOf(found[n], head)
			if own[k] == nil || own[k].subject.revision != head.Revision {
				own[k], missing[head.Name] = nil, finding
			} else if own[k], err = own[k].under(finding); err != nil {
				return nil, nil, err
			}
		}
		made, err := f.make(ctx, look, label, missing)
		if err != nil {
			return nil, nil, err
		}
		for k, head := range live {
			if own[k] == nil {
				own[k] = made[head.Name]
			}
		}
		shown, kept := screen(found[n], label, live, own, len(all))
		all, refused = append(all, shown...), append(refused, kept...)
	}
	return all, refused, nil
}

// make makes the images of some entries of a catalog, by name, with what the
// policy makes of them; nil without a policy.
func (f *follower) make(ctx context.Context, look *catalog.View, label string, findings map[string]*catalog.Finding) (map[string]*image, error) {
	if len(findings) == 0 {
		return nil, nil
	}
	names := make(map[string]bool, len(findings))
	for name := range findings {
		names[name] = true
	}
	items, err := look.Items(ctx, names)
	if err != nil {
		return nil, err
	}
	images := make([]*image, len(items))
	err = inParallel(ctx, len(items), func(n int) (err error) {
		item := &items[n]
		item.Catalog = label
		var status entry.Status
		if f.server.monitor != nil {
			status = health.Initial(item, look.Statuses()[item.Name])
		}
		images[n], err = newImage(*item, status, findings[item.Name])
		return err
	})
	if err != nil {
		return nil, err
	}
	made := make(map[string]*image, len(images))
	for _, i := range images {
		made[i.name()] = i
	}
	if f.server.monitor != nil {
		f.server.logNotAllowed(images)
	}
	return made, nil
}

// watch tells the monitor what there is to probe, and puts the images into the
// state that it knows them in.
func (f *follower) watch(images []*image, looks []*catalog.View) (err error) {
	recorded := map[health.Key]*entry.Status{}
	for n, look := range looks {
		label := f.label(f.followed[n])
		for name, status := range look.Statuses() {
			recorded[health.Key{Catalog: label, Name: name}] = status
		}
	}
	monitor := f.server.monitor
	monitor.Follow(func(yield func(*entry.Item) bool) {
		var item entry.Item // for all of them: none is kept
		for _, i := range images {
			if item = i.watched(); !yield(&item) {
				return
			}
		}
	}, recorded)
	for n, i := range images {
		key := i.key()
		status, _ := monitor.Status(key)
		if i.status != status {
			if images[n], err = i.in(status); err != nil {
				return err
			}
		}
		if images[n].accesses == nil && f.server.options.RecordStatuses {
			images[n].accesses = monitor.Accesses(key)
		}
	}
	return nil
}

// statusChanged notes that something was found out about an image; news is false
// if only the times are others. It does not block.
func (f *follower) statusChanged(news bool) {
	to := f.times
	if news {
		to = f.phases
	}
	select {
	case to <- struct{}{}:
	default:
	}
}

// settlePhases shows what probes found out, some changes at a time: new phases
// soon, and new times with the next refresh.
func (f *follower) settlePhases(ctx context.Context) {
	var due <-chan time.Time // nil: there is nothing to show
	hurry := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.phases:
			if !hurry {
				hurry, due = true, time.After(settle)
			}
		case <-f.times:
			if due == nil {
				due = time.After(f.server.options.Refresh)
			}
		case <-due:
			hurry, due = false, nil
			if err := f.again(ctx); err != nil && ctx.Err() == nil {
				f.server.log.Warn("the phases could not be shown", "error", err.Error())
			}
		}
	}
}
