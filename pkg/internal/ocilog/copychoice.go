package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// choose finds out which revisions are copied, and in which order.
func (p *CopyPlan) choose(ctx context.Context) error {
	var open []*CopyName // that the destination lacks something of
	for _, n := range p.copied() {
		if slices.ContainsFunc(n.tags, func(tag revision.Tag) bool { return !p.have[tag] }) {
			open = append(open, n)
		}
	}
	near, err := p.lastOf(ctx, open, func(n *CopyName, tag revision.Tag) bool {
		return n.Head.Tag.Millis > p.from.log.horizon() && tag.Millis <= p.from.log.horizon()
	})
	if err != nil {
		return err
	}
	if err := p.findRemovals(ctx, open); err != nil {
		return err
	}
	if err := p.cutVersions(ctx, open); err != nil {
		return err
	}
	for _, n := range p.copied() {
		p.pick(n, near[n.Name])
	}
	if err := p.confirm(ctx); err != nil {
		return err
	}
	for _, n := range p.copied() {
		p.fill(n)
	}
	slices.SortFunc(p.steps[copyRest], func(a, b revision.Tag) int { return b.Compare(a) })
	return nil
}

// lastOf returns, of each name, the last revision at the source among the tags that count.
func (p *CopyPlan) lastOf(ctx context.Context, names []*CopyName, counts func(*CopyName, revision.Tag) bool) (map[string]*revision.Revision, error) {
	var tags []revision.Tag
	for _, n := range names {
		for _, tag := range n.tags {
			if counts(n, tag) {
				tags = append(tags, tag)
			}
		}
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	replay := revision.NewReplay(tags, time.Time{})
	for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
		found, err := p.from.revisions(ctx, want)
		if err != nil {
			return nil, err
		}
		replay.Decide(found)
	}
	last := map[string]*revision.Revision{}
	for _, r := range replay.Heads() {
		last[r.Tag.Name] = r
	}
	return last, nil
}

// findRemovals finds the last removal of each name. Nothing before a removal that cannot
// be copied is copied: it would seem to be there to be had by its version.
func (p *CopyPlan) findRemovals(ctx context.Context, names []*CopyName) error {
	last, err := p.lastOf(ctx, names, func(_ *CopyName, tag revision.Tag) bool { return tag.Op == revision.OpRemove })
	if err != nil {
		return err
	}
	for _, n := range names {
		if r := last[n.Name]; r != nil {
			n.first[copyRemovals] = r.Tag
		}
		for _, tag := range p.from.uncertain(n.Name, n.first[copyRemovals]) {
			if tag.Op == revision.OpRemove {
				n.lost, n.floor = tag, tag
			}
		}
	}
	return nil
}

// cutVersions raises the floor of each name to the oldest of the publications that are
// wanted.
func (p *CopyPlan) cutVersions(ctx context.Context, names []*CopyName) error {
	if p.options.Versions <= 0 {
		return nil
	}
	type window struct {
		left    []revision.Tag // publications, oldest first
		missing int
	}
	open := map[*CopyName]*window{}
	for _, n := range names {
		publications := slices.DeleteFunc(slices.Clone(n.tags), func(tag revision.Tag) bool { return tag.Op != revision.OpPublish })
		open[n] = &window{publications, p.options.Versions}
	}
	for len(open) > 0 {
		var want []revision.Tag
		next := map[*CopyName][]revision.Tag{}
		for n, w := range open {
			next[n] = w.left[max(0, len(w.left)-w.missing):]
			w.left = w.left[:len(w.left)-len(next[n])]
			want = append(want, next[n]...)
		}
		found, err := p.from.revisions(ctx, want)
		if err != nil {
			return err
		}
		for n, tags := range next {
			for _, tag := range slices.Backward(tags) {
				if found[tag] == nil {
					continue
				}
				if open[n].missing--; open[n].missing == 0 && n.floor.Compare(tag) < 0 {
					n.floor = tag
				}
			}
			if open[n].missing == 0 || len(open[n].left) == 0 {
				delete(open, n)
			}
		}
	}
	return nil
}

// pick finds out what is wanted of a name.
func (p *CopyPlan) pick(n *CopyName, near *revision.Revision) {
	n.first[copyHeads] = n.Head.Tag
	if near != nil {
		n.first[copyNear] = near.Tag
	}
	for step, tag := range n.first {
		if tag != (revision.Tag{}) && !slices.Contains(n.first[:step], tag) {
			n.wanted = append(n.wanted, tag)
		}
	}
	for _, tag := range slices.Backward(n.tags) {
		early := !p.options.Since.IsZero() && tag.Millis < p.options.Since.UnixMilli()
		if !early && n.floor.Compare(tag) <= 0 && !slices.Contains(n.first[:], tag) && !p.from.isNone(tag) {
			n.wanted = append(n.wanted, tag)
		}
	}
}

// lacks reports whether the destination does not list all that is wanted of a name.
func (p *CopyPlan) lacks(n *CopyName) bool {
	return slices.ContainsFunc(n.wanted, func(tag revision.Tag) bool { return !p.have[tag] })
}

// confirm asks the destination for the first revisions of each name that it lists, if
// anything is to follow them: that somebody knows them otherwise is not enough.
func (p *CopyPlan) confirm(ctx context.Context) error {
	open := slices.DeleteFunc(p.copied(), func(n *CopyName) bool { return !p.lacks(n) })
	var mu sync.Mutex // guards have
	return eachOf(ctx, p.options.Parallel, open, func(ctx context.Context, n *CopyName) error {
		for _, tag := range n.first {
			mu.Lock()
			listed := p.have[tag]
			mu.Unlock()
			if !listed || p.base[tag] {
				continue
			}
			want, _ := p.from.log.known.get(tag)
			switch found, err := p.to.target.Resolve(ctx, tag.String()); {
			case errors.Is(err, entry.ErrNotFound):
				mu.Lock()
				delete(p.have, tag)
				mu.Unlock()
			case err != nil:
				return fmt.Errorf("destination: %w", err)
			case found.Digest != want.digest:
				n.Kept = fmt.Errorf("destination: %w", &OverwrittenError{tag, found.Digest, want.digest})
				return nil
			}
		}
		return nil
	})
}

// fill puts what is written of a name into the steps.
func (p *CopyPlan) fill(n *CopyName) {
	for _, tag := range n.wanted {
		if p.have[tag] {
			n.Present++
			continue
		}
		step := slices.Index(n.first[:], tag)
		if step < 0 {
			step = copyRest
		}
		n.Write = append(n.Write, tag)
		p.steps[step] = append(p.steps[step], tag)
	}
}

// planStatus copies the newest status artifact, if the destination has none as new. It
// tells of all names, so that a copy of some goes without.
func (p *CopyPlan) planStatus() {
	last := func(tags []revision.Tag) (tag revision.Tag) {
		if len(tags) > 0 {
			tag = tags[len(tags)-1]
		}
		return tag
	}
	if newest := last(p.from.statuses); p.options.Select == nil && last(p.view.statuses).Compare(newest) < 0 {
		p.Status = newest
	}
}

// eachOf calls do for each of some things, so many at a time.
func eachOf[T any](ctx context.Context, parallel int, all []T, do func(context.Context, T) error) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, one := range all {
		if within.Err() != nil {
			break
		}
		group.Go(func() error { return do(within, one) })
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return timedOut(ctx)
		}
		return err
	}
	return nil
}
