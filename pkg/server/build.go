package server

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
)

// show makes a new state of the last looks, unless what they showed is served
// already. A catalog that was never read keeps all of them waiting.
func (f *follower) show(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	looks := make([]*catalog.Look, len(f.followed))
	for n, one := range f.followed {
		if looks[n] = one.last(); looks[n] == nil {
			return nil
		}
	}
	if slices.EqualFunc(looks, f.shown, (*catalog.Look).Same) {
		f.shown = looks
		return nil
	}
	return f.build(ctx, looks)
}

// again makes a new state of what is shown, with what probes found out since.
func (f *follower) again(ctx context.Context) error {
	f.building.Lock()
	defer f.building.Unlock()
	if f.shown == nil {
		return nil
	}
	return f.build(ctx, f.shown)
}

// build makes the state that shows looks, if it is another one than is served,
// and says what happened. The caller holds the lock of building.
func (f *follower) build(ctx context.Context, looks []*catalog.Look) error {
	s := f.server
	old := s.state.Load()
	images, err := f.images(ctx, old, looks)
	if err == nil && s.monitor != nil {
		err = f.watch(images, looks)
	}
	if err != nil {
		return err
	}
	f.shown = looks
	if old != nil && !old.recalled && slices.Equal(old.images, images) {
		return nil
	}
	next := newState(old, images)
	s.state.Store(next)
	s.events.changed(old, next)
	return nil
}

// images returns those of all live entries, the old ones where they are of the
// same revision. What was recalled from the disk is not believed.
func (f *follower) images(ctx context.Context, old *state, looks []*catalog.Look) (all []*image, err error) {
	for n, look := range looks {
		label := f.label(f.followed[n])
		live := look.Live()
		own := make([]*image, len(live))
		missing := map[string]bool{}
		for k, head := range live {
			if old != nil && !old.recalled {
				own[k] = old.byKey[health.Key{Catalog: label, Name: head.Name}]
			}
			if own[k] == nil || own[k].subject.revision != head.Revision.String() {
				own[k], missing[head.Name] = nil, true
			}
		}
		made, err := f.make(ctx, look, label, missing)
		if err != nil {
			return nil, err
		}
		for k, head := range live {
			if own[k] == nil {
				own[k] = made[head.Name]
			}
		}
		all = append(all, own...)
	}
	return slices.DeleteFunc(all, func(i *image) bool { return i == nil }), nil // deleted since the look
}

// make makes the images of some entries of a catalog, by name.
func (f *follower) make(ctx context.Context, look *catalog.Look, label string, names map[string]bool) (map[string]*image, error) {
	if len(names) == 0 {
		return nil, nil
	}
	items, err := look.Items(ctx, names)
	if err != nil {
		return nil, err
	}
	look.Release()
	images := make([]*image, len(items))
	err = inParallel(ctx, len(items), func(n int) (err error) {
		item := &items[n]
		item.Catalog = label
		var status entry.Status
		if f.server.monitor != nil {
			status = health.Initial(item, look.Statuses()[item.Name])
		}
		images[n], err = newImage(*item, status)
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
func (f *follower) watch(images []*image, looks []*catalog.Look) (err error) {
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
		if images[n].accesses == nil && len(f.server.options.Statuses) > 0 {
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
