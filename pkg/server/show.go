package server

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// show makes a new state of the last views, unless what they showed is served
// already. A catalog that was never read keeps all of them waiting.
func (f *follower) show(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	views, found := make([]serving.View, len(f.followed)), make([]*serving.Evaluation, len(f.followed))
	for n, one := range f.followed {
		views[n], found[n] = one.lastEvaluated()
		if views[n] == nil || found[n] == nil && f.server.options.Policy != nil {
			return nil
		}
	}
	if slices.EqualFunc(views, f.shown, serving.View.Equal) && slices.Equal(found, f.found) {
		f.shown = views
		return nil
	}
	return f.build(ctx, views, found)
}

// showStatuses makes a new state of what is shown, with what probes found out since.
func (f *follower) showStatuses(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	if f.shown == nil {
		return nil
	}
	return f.build(ctx, f.shown, f.found)
}

// build makes the state that shows views and what was found of them, if it is
// another one than is served, and says what happened. The caller holds the lock of
// building.
func (f *follower) build(ctx context.Context, views []serving.View, found []*serving.Evaluation) error {
	s := f.server
	old := s.state.Load()
	policy, ok := policyOf(found)
	if !ok {
		return nil // some catalogs were evaluated under an older one, and are about to be again
	}
	entries, refused, err := f.entries(ctx, old, views, found)
	if err == nil && s.monitor != nil {
		err = f.watch(entries, views)
	}
	if err != nil {
		return err
	}
	f.shown, f.found = views, found
	f.outdated.Store(slices.ContainsFunc(entries, func(e *servedEntry) bool { return e.finding != nil && e.finding.Stale }))
	missing := f.missing(views)
	var before *decisions
	if old != nil && old.policy == policy { // another policy may not let through what moved
		before = old.decisions
	}
	moved, err := f.moved(ctx, before, views, found, entries)
	if err != nil {
		return err
	}
	if old != nil && !old.fromCache && old.policy == policy && old.decisions == moved && slices.Equal(old.missing, missing) && slices.Equal(old.entries, entries) && slices.EqualFunc(old.refusals, refused, (*refusal).same) {
		return nil
	}
	next := newState(ctx, old, entries, policy, refused, missing)
	next.decisions = moved
	s.state.Store(next)
	phases := s.events.changed(old, next)
	if s.monitor != nil {
		s.auditPhases(ctx, phases)
	}
	return nil
}

// missing returns the references of the catalogs that do not exist.
func (f *follower) missing(views []serving.View) (references []string) {
	for n, view := range views {
		if view.Absent() {
			references = append(references, f.followed[n].catalog.Reference())
		}
	}
	return references
}

// policyOf returns the policy that all evaluations were made under, and whether
// there is one for all of them.
func policyOf(found []*serving.Evaluation) (policy *trust.Policy, ok bool) {
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

// entries returns those of all live entries that the policy lets through, the old
// ones where they are of the same revision and verdict, and what it refuses. What
// was read from the cache file is not believed.
func (f *follower) entries(ctx context.Context, old *state, views []serving.View, found []*serving.Evaluation) (all []*servedEntry, refused []*refusal, err error) {
	for n, view := range views {
		label := f.label(f.followed[n])
		live := view.Live()
		own := make([]*servedEntry, len(live))
		missing := map[string]*serving.Finding{}
		moved := n >= len(f.shown) || !view.SamePlaces(f.shown[n])
		for k, head := range live {
			if old != nil && !old.fromCache && !moved {
				own[k] = old.find(health.Key{Catalog: label, Name: head.Name})
			}
			finding := findingOf(found[n], head)
			if own[k] == nil || own[k].subject.revision != head.Revision {
				own[k], missing[head.Name] = nil, finding
			} else if own[k], err = own[k].under(finding); err != nil {
				return nil, nil, err
			}
		}
		made, err := f.make(ctx, view, label, missing)
		if err != nil {
			return nil, nil, err
		}
		for k, head := range live {
			if own[k] == nil {
				own[k] = made[head.Name]
			}
		}
		shown, kept := screen(found[n], label, view, own, len(all))
		all, refused = append(all, shown...), append(refused, kept...)
	}
	return all, refused, nil
}

// make makes the entries of some entries of a catalog, by name, with what the
// policy makes of them; nil without a policy.
func (f *follower) make(ctx context.Context, view serving.View, label string, findings map[string]*serving.Finding) (map[string]*servedEntry, error) {
	if len(findings) == 0 {
		return nil, nil
	}
	names := make(map[string]bool, len(findings))
	for name := range findings {
		names[name] = true
	}
	items, err := view.Items(ctx, names)
	if err != nil {
		return nil, err
	}
	entries := make([]*servedEntry, len(items))
	err = inParallel(ctx, len(items), func(n int) (err error) {
		item := &items[n]
		item.Catalog = label
		var status entry.Status
		if f.server.monitor != nil {
			status = health.Initial(item, view.Statuses()[item.Name])
		}
		entries[n], err = newServedEntry(*item, status, findings[item.Name])
		return err
	})
	if err != nil {
		return nil, err
	}
	made := make(map[string]*servedEntry, len(entries))
	for _, i := range entries {
		made[i.name()] = i
	}
	if f.server.monitor != nil {
		f.server.logNotAllowed(entries)
	}
	return made, nil
}

// watch tells the monitor what there is to probe, and puts the entries into the
// state that it knows them in.
func (f *follower) watch(entries []*servedEntry, views []serving.View) (err error) {
	recorded := map[health.Key]*entry.Status{}
	for n, view := range views {
		label := f.label(f.followed[n])
		for name, status := range view.Statuses() {
			recorded[health.Key{Catalog: label, Name: name}] = status
		}
	}
	monitor := f.server.monitor
	monitor.Follow(func(yield func(*entry.Item) bool) {
		var item entry.Item // for all of them: none is kept
		for _, i := range entries {
			if item = i.watched(); !yield(&item) {
				return
			}
		}
	}, recorded)
	for n, i := range entries {
		key := i.key()
		status, _ := monitor.Status(key)
		if i.status != status {
			if entries[n], err = i.in(status); err != nil {
				return err
			}
		}
		if entries[n].accesses == nil && f.server.options.RecordStatuses {
			entries[n].accesses = monitor.Accesses(key)
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
			if err := f.showStatuses(ctx); err != nil && ctx.Err() == nil {
				f.server.log.Warn("the phases could not be shown", "error", err.Error())
			}
		}
	}
}
