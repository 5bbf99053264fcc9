package ocilog

import (
	"context"
	"slices"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Counter says which revisions count for a writer: those that the policy in force
// verifies. What does not count blocks, ends and moves nothing (SPEC section 12). The
// nil Counter counts all.
type Counter interface {
	// Known reports of each revision whether it is known to count. Nobody is asked.
	Known(context.Context, []*revision.Revision) []bool
	// Never reports whether nothing of a name can count.
	Never(name string) bool
	// Count reports of each revision whether it counts. It asks in their order, and
	// may stop asking: what was not found out does not count.
	Count(context.Context, []*revision.Revision) []bool
}

// Contenders returns, of each name but one, the revisions among which is the one that
// decides it for a Counter, in log order: the head alone, if that is known to count or
// there is nothing before it, else all. heads are those of now. The names are in no
// order.
func (v *View) Contenders(ctx context.Context, counter Counter, heads []*revision.Revision, except string) ([][]*revision.Revision, error) {
	heads = slices.DeleteFunc(slices.Clone(heads), func(head *revision.Revision) bool {
		return head.Tag.Name == except || counter != nil && counter.Never(head.Tag.Name)
	})
	var contenders [][]*revision.Revision
	var covered []*revision.Revision // heads with something before them
	tags := v.tagCounts()
	for _, head := range heads {
		if counter != nil && tags[head.Tag.Name] > 1 {
			covered = append(covered, head)
		} else {
			contenders = append(contenders, []*revision.Revision{head})
		}
	}
	if len(covered) == 0 {
		return contenders, nil
	}
	hidden := map[string]bool{}
	for i, known := range counter.Known(ctx, covered) {
		if known {
			contenders = append(contenders, []*revision.Revision{covered[i]})
		} else {
			hidden[covered[i].Tag.Name] = true
		}
	}
	history, err := v.HistoryOf(ctx, hidden)
	if err != nil {
		return nil, err
	}
	byName := map[string][]*revision.Revision{}
	for _, r := range history {
		byName[r.Tag.Name] = append(byName[r.Tag.Name], r)
	}
	for _, all := range byName {
		contenders = append(contenders, all)
	}
	return contenders, nil
}

// tagCounts returns how many tags each name has.
func (v *View) tagCounts() map[string]int {
	counts := map[string]int{}
	for _, tag := range v.tags {
		counts[tag.Name]++
	}
	return counts
}

// Deciding returns, of those contenders that decide their names, the ones that are
// wanted, in log order. It asks only about what is wanted, and about what came after it.
func Deciding(ctx context.Context, counter Counter, contenders [][]*revision.Revision, wanted func(*revision.Revision) bool) []*revision.Revision {
	var asked []*revision.Revision
	for _, of := range contenders {
		for _, r := range of {
			if wanted(r) {
				asked = append(asked, r)
			}
		}
	}
	slices.SortFunc(asked, func(a, b *revision.Revision) int { return a.Tag.Compare(b.Tag) })
	if counter == nil || len(asked) == 0 {
		return asked
	}
	newest := map[string]*revision.Revision{} // by name, of those that are wanted and count
	for i, counts := range counter.Count(ctx, asked) {
		if counts {
			newest[asked[i].Tag.Name] = asked[i]
		}
	}
	var later []*revision.Revision
	for _, of := range contenders {
		last := newest[of[0].Tag.Name]
		for _, r := range of {
			if last != nil && last.Tag.Compare(r.Tag) < 0 && !wanted(r) {
				later = append(later, r)
			}
		}
	}
	if len(later) > 0 {
		slices.SortFunc(later, func(a, b *revision.Revision) int { return b.Tag.Compare(a.Tag) })
		for i, counts := range counter.Count(ctx, later) {
			if counts {
				delete(newest, later[i].Tag.Name)
			}
		}
	}
	return slices.DeleteFunc(asked, func(r *revision.Revision) bool { return newest[r.Tag.Name] != r })
}

// lastOf returns the last of some revisions that counts; nil for none.
func lastOf(ctx context.Context, counter Counter, revisions []*revision.Revision) *revision.Revision {
	if len(revisions) == 0 {
		return nil
	}
	if counter == nil {
		return revisions[len(revisions)-1]
	}
	newestFirst := slices.Clone(revisions)
	slices.Reverse(newestFirst)
	if i := slices.Index(counter.Count(ctx, newestFirst), true); i >= 0 {
		return newestFirst[i]
	}
	return nil
}
