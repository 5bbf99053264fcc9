package ocilog

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// endCopies checks the invariants that hold when everybody is done, nothing lags and the
// adversary has left: copies are a union, which is the same in any order, and has all
// that anybody was told is there.
func (s *schedule) endCopies(ctx context.Context) {
	s.settled = true
	s.note("the end: nothing lags, nothing is hidden")
	for _, r := range s.repositories() {
		clear(r.hidden)
	}
	time.Sleep(2 * mismatchFor)
	s.checkAcknowledged()
	s.checkCommutes(ctx)
	for range 2 {
		s.uniteAll(ctx)
	}
	s.checkUnion()
	before := s.sizes()
	s.uniteAll(ctx)
	if after := s.sizes(); !slices.Equal(before, after) && !s.setting.adversary {
		s.fail("copies change something once all is copied: %v changes before, %v after", before, after)
	}
	for _, r := range s.repositories() {
		if s.failed == "" {
			s.agree(ctx, r)
		}
	}
}

// sizes counts the changes of each repository.
func (s *schedule) sizes() (sizes []int) {
	for _, r := range s.repositories() {
		sizes = append(sizes, len(r.changes))
	}
	return sizes
}

// uniteAll copies every repository into every other one.
func (s *schedule) uniteAll(ctx context.Context) {
	for _, from := range s.repositories() {
		for _, to := range s.repositories() {
			if from != to {
				s.unite(ctx, from, to)
			}
		}
	}
}

// unite copies all of a repository into another one, by somebody who knows neither.
func (s *schedule) unite(ctx context.Context, from, to *repository) {
	a := &actor{schedule: s, repository: from, name: "cold copier", rng: s.rng}
	a.start()
	a.copyTo(ctx, to, CopyOptions{}, "")
}

// checkCommutes copies two repositories into each other, beginning with either.
func (s *schedule) checkCommutes(ctx context.Context) {
	one, two := s.repository.clone(), s.others[0].clone()
	s.unite(ctx, one, two)
	s.unite(ctx, two, one)
	first := s.all(one)
	s.same("copied there and back", first, s.all(two))
	one, two = s.repository.clone(), s.others[0].clone()
	s.unite(ctx, two, one)
	s.unite(ctx, one, two)
	s.same("copied back and there", s.all(one), s.all(two))
	s.same("copied in either order", first, s.all(one))
}

// all returns what stands of each name that nobody without a key was at.
func (s *schedule) all(r *repository) map[string][]revision.Tag {
	standing := map[string][]revision.Tag{}
	for _, name := range s.names {
		disturbed := slices.ContainsFunc(s.repositories(), func(r *repository) bool { return r.disturbed[name] })
		if !disturbed {
			standing[name] = r.standing(name)
		}
	}
	return standing
}

func (s *schedule) same(what string, a, b map[string][]revision.Tag) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !slices.Equal(a[name], b[name]) {
			s.fail("%s, %s has %v and %v", what, name, a[name], b[name])
		}
	}
}

// checkUnion checks that all repositories have the same, and nothing that was there is
// missed but what was pruned.
func (s *schedule) checkUnion() {
	last, removals := map[string]revision.Tag{}, map[string]revision.Tag{}
	for _, r := range s.repositories() {
		s.same("once all is copied", s.all(s.repository), s.all(r))
		for tag := range r.valid {
			if last[tag.Name].Compare(tag) < 0 {
				last[tag.Name] = tag
			}
			if tag.Op == revision.OpRemove && removals[tag.Name].Compare(tag) < 0 {
				removals[tag.Name] = tag
			}
		}
	}
	for name, standing := range s.all(s.repository) {
		if len(standing) == 0 && last[name] != (revision.Tag{}) || len(standing) > 0 && standing[len(standing)-1] != last[name] {
			s.fail("once all is copied, %s has %v, and not %s", name, standing, last[name])
		}
		if removals[name] != (revision.Tag{}) && !slices.Contains(standing, removals[name]) {
			s.fail("once all is copied, %s has %v, and not the removal %s", name, standing, removals[name])
		}
	}
}

// clone copies a repository in the model, where nobody is shown anything.
func (r *repository) clone() *repository {
	c := *r
	c.content, c.valid, c.signed = maps.Clone(r.content), maps.Clone(r.valid), maps.Clone(r.signed)
	c.hidden, c.tampered, c.disturbed = map[string]bool{}, maps.Clone(r.tampered), maps.Clone(r.disturbed)
	c.changes, c.since, c.pruned = slices.Clone(r.changes), maps.Clone(r.since), maps.Clone(r.pruned)
	return &c
}
