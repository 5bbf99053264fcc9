package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Head is a live entry and the revision that makes it so; or, with an Err, a name
// whose state is refused.
type Head struct {
	Name     string
	Revision digest.Digest // "" where nothing is left that decides the name
	// Err is why the name is refused, nil for a live entry: a *trust.Error, or a
	// *LostError where the latest revision vanished and no policy says whether it
	// counted.
	Err error
	// Twin is the entry that had the image of this one before it, live too: the same
	// digest, published from the same reference. "" is none. That they are two is for
	// people to mend.
	Twin  string
	Image string // its reference; "" where it is not known
}

// Heads returns the live entries in text order of their names, those of a later
// format included, looking at the signatures of twins only: they are what there is to
// verify. Behind them come, each with its Err, the names that are not live and
// should not be so: by a removal that the policy refuses, or because what they had
// was taken away.
func (c *Catalog) Heads(ctx context.Context) ([]Head, error) {
	view, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	all, err := view.Heads(ctx, zeroTime)
	c.warnOf(view.Warnings())
	if err != nil {
		return nil, err
	}
	twins, err := c.twins(ctx, view, all)
	if err != nil {
		return nil, err
	}
	var heads []Head
	var removed []*revision.Revision
	decided := map[string]bool{}
	for _, head := range all {
		decided[head.Tag.Name] = true
		if head.Tag.Op == revision.OpRemove {
			removed = append(removed, head)
		} else {
			next := Head{Name: head.Tag.Name, Revision: head.Digest, Twin: twins[head.Tag.Name]}
			if head.Document != nil {
				next.Image = head.Document.Image.Reference
			}
			heads = append(heads, next)
		}
	}
	return append(heads, c.refusedNames(ctx, view, removed, decided)...), nil
}

// twins returns, by name, the entries among heads that had the image of an entry before
// it. Under a policy, what it does not verify does not count, and hides nothing that it
// verifies.
func (c *Catalog) twins(ctx context.Context, view *ocilog.View, heads []*revision.Revision) (map[string]string, error) {
	counting := c.newCounting("")
	defer counting.done(ctx)
	contenders, err := view.Contenders(ctx, counting.counter(), heads, "")
	if err != nil {
		return nil, err
	}
	shared := map[*revision.Revision]bool{}
	for _, same := range revision.Duplicates(slices.Concat(contenders...), normalText) {
		for _, r := range same {
			shared[r] = slices.ContainsFunc(same, func(other *revision.Revision) bool { return other.Tag.Name != r.Tag.Name })
		}
	}
	twins := map[string]string{}
	deciding := ocilog.Deciding(ctx, counting.counter(), contenders, func(r *revision.Revision) bool { return shared[r] })
	for _, same := range revision.Duplicates(deciding, normalText) {
		for _, r := range same[1:] {
			twins[r.Tag.Name] = same[0].Tag.Name
		}
	}
	if unknown := counting.unknown(); unknown > 0 {
		c.warn(WarnPolicy, "", fmt.Errorf("of %s whose image another entry has too it is not known whether the policy verifies them", countOf(unknown, "revision")))
	}
	return twins, nil
}

// refusedNames returns the names that are not live and should not be so. decided are
// those that something decides, removed the removals among that.
func (c *Catalog) refusedNames(ctx context.Context, view *ocilog.View, removed []*revision.Revision, decided map[string]bool) (hidden []Head) {
	if c.policy() != nil {
		e := c.newEvaluator(view, zeroTime)
		defer e.done(ctx)
		for i, report := range e.all(ctx, removed) {
			if err := c.refusal(removed[i], report); err != nil {
				hidden = append(hidden, Head{Name: removed[i].Tag.Name, Revision: removed[i].Digest, Err: err})
			}
		}
		return append(hidden, e.absences(ctx, decided)...)
	}
	for _, name := range view.VanishedNames(zeroTime) {
		if !decided[name] {
			hidden = append(hidden, Head{Name: name, Err: lostOf(name, view.Vanished(ctx, name, revision.Tag{}, zeroTime))})
		}
	}
	return hidden
}
