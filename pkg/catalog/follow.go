package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// renewFollowed is after how long a Follower looks again for signatures that it did
// not find.
const renewFollowed = time.Minute

// Follower tells what moves forward in a catalog. It is for one goroutine.
type Follower struct {
	catalog    *Catalog
	evaluation *serving.Evaluation // of the last read; nil without a policy
}

// Follow returns a follower of the catalog. Nothing is read yet.
func (c *Catalog) Follow() *Follower { return &Follower{catalog: c} }

// Moved reads the log and returns, in its order, what decides the names that moved
// forward: known has the tag of the event that was told of a name last, and what
// decides the name now comes later. Of a name that moved more than once, only the last
// event is there; of one that moved back, none. nil knows nothing, and all names have
// moved. Under a policy, only what it lets through moves a name.
//
// Whoever handled an event notes its Tag under its Name in known. What is not noted is
// told again, so that nothing is missed by one who stops in between.
func (f *Follower) Moved(ctx context.Context, known map[string]string) ([]entry.Event, error) {
	view, err := f.catalog.ForServer().Read(ctx)
	if err != nil {
		return nil, err
	}
	if f.catalog.policy() != nil {
		f.evaluation, err = view.Evaluate(ctx, serving.EvaluateOptions{Before: f.evaluation, Renew: renewFollowed})
		if err != nil {
			return nil, err
		}
	}
	names, verdicts := map[string]bool{}, map[string]entry.Verdict{}
	for _, d := range view.Decisions() {
		if last, ok := revision.ParseTag(known[d.Tag.Name]); ok && d.Tag.Compare(last) <= 0 {
			continue
		}
		if verdict, admitted := f.evaluation.Admits(d); admitted {
			names[d.Tag.Name], verdicts[d.Tag.Name] = true, verdict
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	events, err := view.Events(ctx, names)
	if err != nil {
		return nil, err
	}
	for n := range events {
		events[n].Verdict = verdicts[events[n].Name]
	}
	slices.SortFunc(events, func(a, b entry.Event) int { return revision.CompareTags(a.Tag, b.Tag) })
	return events, nil
}
