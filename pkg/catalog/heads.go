package catalog

import (
	"context"

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
}

// Heads returns the live entries in text order of their names, those of a later
// format included, without looking at their signatures: they are what there is to
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
	var heads []Head
	var removed []*revision.Revision
	decided := map[string]bool{}
	for _, head := range all {
		decided[head.Tag.Name] = true
		if head.Tag.Op == revision.OpRemove {
			removed = append(removed, head)
		} else {
			heads = append(heads, Head{Name: head.Tag.Name, Revision: head.Digest})
		}
	}
	return append(heads, c.hidden(ctx, view, removed, decided)...), nil
}

// hidden returns the names that are not live and should not be so. decided are
// those that something decides, removed the removals among that.
func (c *Catalog) hidden(ctx context.Context, view *ocilog.View, removed []*revision.Revision, decided map[string]bool) (hidden []Head) {
	if c.policy() != nil {
		e := c.newEvaluator(view, zeroTime)
		defer e.done(ctx)
		for i, report := range e.all(ctx, removed) {
			if err := c.refusal(removed[i], report); err != nil {
				hidden = append(hidden, Head{removed[i].Tag.Name, removed[i].Digest, err})
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
