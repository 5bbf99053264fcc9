package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// versions returns every version of the live entries, heads, that the query can
// match. Whether the images of earlier ones are still there is not asked.
func (c *Catalog) versions(ctx context.Context, view *ocilog.View, heads []*revision.Revision, options ListOptions) (items []entry.Item, err error) {
	histories, err := c.histories(ctx, view, heads, options)
	if err != nil {
		return nil, err
	}
	for _, history := range histories {
		items = append(items, itemsOf(eachVersion(revision.Current(history)))...)
	}
	return items, nil
}

// histories returns the revisions of each name that one of heads decides and the
// query names, up to the time of the options, in log order.
func (c *Catalog) histories(ctx context.Context, view *ocilog.View, heads []*revision.Revision, options ListOptions) (map[string][]*revision.Revision, error) {
	names := map[string]bool{}
	for _, head := range heads {
		if head.Tag.Op == revision.OpPublish && entry.MatchPattern(options.Query.Name, head.Tag.Name) {
			names[head.Tag.Name] = true
		}
	}
	all, err := view.HistoryOf(ctx, names)
	if err != nil {
		return nil, err
	}
	return byName(before(all, options.AsOf)), nil
}

// eachVersion returns, of the publications of one name in log order, the newest of
// each version and digest.
func eachVersion(publications []*revision.Revision) (newest []*revision.Revision) {
	type key struct {
		version string
		image   digest.Digest
	}
	seen := map[key]bool{}
	for _, revision := range slices.Backward(publications) {
		if revision.Document == nil {
			continue
		}
		this := key{revision.Document.Version, revision.Document.Image.Digest}
		if !seen[this] {
			seen[this] = true
			newest = append(newest, revision)
		}
	}
	return newest
}

// screened is screen for the query of a list: of the entries, or of their
// versions.
func (c *Catalog) screened(ctx context.Context, view *ocilog.View, heads []*revision.Revision, options ListOptions, image wantedImage) (items []entry.Item, refused []Head, err error) {
	items, refused = c.screen(ctx, view, options.AsOf, heads)
	if options.Query.Versions {
		items, refused, err = c.screenedVersions(ctx, view, heads, refused, options, image)
	}
	if err != nil {
		return nil, nil, err
	}
	return items, c.dropMismatches(ctx, view, heads, refused, options, image), nil
}

// screenedVersions returns every version of the live entries that the policy lets
// through, and adds the others to what it refuses: one that it refuses hides no
// earlier publication of the same version and digest, and is added only if itself says
// what the query wants. refused are those whose state of now it refuses: of these,
// nothing is shown. A removal that it refuses ends nothing; one of which nobody can tell
// is added to what is refused.
func (c *Catalog) screenedVersions(ctx context.Context, view *ocilog.View, heads []*revision.Revision, refused []Head, options ListOptions, image wantedImage) (items []entry.Item, _ []Head, err error) {
	isRefused := map[string]bool{}
	for _, head := range refused {
		isRefused[head.Name] = true
	}
	histories, err := c.histories(ctx, view, slices.DeleteFunc(slices.Clone(heads), func(head *revision.Revision) bool { return isRefused[head.Tag.Name] }), options)
	if err != nil {
		return nil, nil, err
	}
	claimed := serving.Claimed(options.Query)
	matches := func(rev *revision.Revision) bool {
		item := rev.Item()
		return image.has(&item) && claimed.Select([]entry.Item{item}).Total > 0
	}
	e := c.newEvaluator(nil, zeroTime)
	defer e.done(ctx)
	reports := e.past(ctx, slices.Collect(maps.Values(histories)))
	for _, head := range heads { // in the order of their names
		admitted, failed := e.admitVersions(histories[head.Tag.Name], reports, matches)
		refused = append(refused, failed...)
		for _, rev := range admitted {
			item := rev.Item()
			item.Verdict, item.Signers = reports[rev].Verdict, signersOf(reports[rev])
			items = append(items, item)
		}
	}
	return items, refused, nil
}

// admitVersions returns of the history of one name each version that the policy lets
// through, and what it refuses of those that match, as few as say it: one head for all
// that is refused, and one for all of which nobody can tell.
func (e *evaluator) admitVersions(history []*revision.Revision, reports map[*revision.Revision]trust.Report, matches func(*revision.Revision) bool) (admitted []*revision.Revision, refused []Head) {
	var refusals, unknown []Head
	var counting []*revision.Revision
	isWanted := func(rev *revision.Revision) bool { return rev.Document != nil && matches(rev) }
	endsWanted, looked := false, 0 // one of history[:looked] is wanted
	for i, rev := range history {
		var err error
		if rev.Tag.Op == revision.OpRemove {
			err = e.refusal(rev, reports[rev])
		}
		if err == nil {
			counting = append(counting, rev)
			continue
		}
		if errors.Is(err, entry.ErrUnreachable) {
			endsWanted, looked = endsWanted || slices.ContainsFunc(history[looked:i], isWanted), i
			if endsWanted {
				unknown = append(unknown, Head{Name: rev.Tag.Name, Revision: rev.Digest, Err: err})
			}
		}
	}
	publications := revision.Current(counting)
	for _, rev := range eachVersion(publications) {
		err := e.refusal(rev, reports[rev])
		switch head := (Head{Name: rev.Tag.Name, Revision: rev.Digest, Err: err}); {
		case err == nil || !matches(rev):
		case errors.Is(err, entry.ErrUnreachable):
			unknown = append(unknown, head)
		default:
			refusals = append(refusals, head)
		}
	}
	admitted = eachVersion(slices.DeleteFunc(publications, func(rev *revision.Revision) bool {
		return reports[rev].Err("", rev.Digest) != nil
	}))
	return admitted, append(together(refusals), together(unknown)...)
}

// together makes one head of those of one name that are refused alike.
func together(heads []Head) []Head {
	if len(heads) < 2 {
		return heads
	}
	err, ok := errors.AsType[*trust.Error](heads[0].Err)
	if !ok {
		return heads
	}
	all := *err
	all.Reason += fmt.Sprintf(" (the same or the like of %s)", countOf(len(heads)-1, "more revision"))
	return []Head{{Name: heads[0].Name, Revision: heads[0].Revision, Err: &all}}
}

// dropMismatches leaves those refused names out that the query does not match, whatever
// is true of them.
func (c *Catalog) dropMismatches(ctx context.Context, view *ocilog.View, heads []*revision.Revision, refused []Head, options ListOptions, image wantedImage) []Head {
	published := map[string]bool{} // names that a publication decides
	for _, head := range heads {
		published[head.Tag.Name] = head.Document != nil
	}
	return serving.CouldMatch(options.Query, !image.isAny(), refused, func(head Head) serving.Refused {
		return serving.Refused{Name: head.Name, Err: head.Err, Published: published[head.Name]}
	}, func(names map[string]bool) map[string][]entry.Outline {
		claims, err := claimsOf(ctx, view, names, image)
		if err != nil {
			return nil // nothing is known of them
		}
		return claims
	})
}

// claimsOf returns what the publications of some names that have an image say, by
// name. A name of which one cannot be read is left out.
func claimsOf(ctx context.Context, view *ocilog.View, names map[string]bool, image wantedImage) (map[string][]entry.Outline, error) {
	history, err := view.HistoryOf(ctx, names)
	if err != nil {
		return nil, err
	}
	claims, unread := map[string][]entry.Outline{}, map[string]bool{}
	for name := range names {
		claims[name] = nil
	}
	for _, rev := range history {
		switch {
		case rev.Tag.Op == revision.OpRemove:
		case rev.Document == nil:
			unread[rev.Tag.Name] = true
		default:
			if item := rev.Item(); image.has(&item) {
				claims[rev.Tag.Name] = append(claims[rev.Tag.Name], item.Outline())
			}
		}
	}
	maps.DeleteFunc(claims, func(name string, _ []entry.Outline) bool { return unread[name] })
	return claims, nil
}
