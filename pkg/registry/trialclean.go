package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// deletes is what is known of how a registry deletes: by tags, or by digests.
type deletes struct {
	worked  bool
	refused error // the first that says that it does not do so at all
}

// try deletes one reference. What is refused once is not asked for again.
func (d *deletes) try(ctx context.Context, r *remoteRepository, reference string) error {
	if d.refused != nil {
		return d.refused
	}
	err := r.delete(ctx, reference)
	if err == nil {
		d.worked = true
	} else if !d.worked && !r.isAbsent(err) {
		d.refused = err
	}
	return err
}

// tryTag deletes a tag, also where it shows up only some time after it was written,
// and reports whether it is gone.
func (t *trial) tryTag(ctx context.Context, byTag *deletes, tag string) bool {
	for attempt := range visible {
		if attempt > 0 && pause.For(ctx, t.r.backoff<<(attempt-1)) != nil {
			return false
		}
		if err := byTag.try(ctx, t.r, tag); !t.r.isAbsent(err) {
			return err == nil
		}
	}
	return false
}

// clean deletes what was written, and notes what stays.
func (t *trial) clean(ctx context.Context) {
	if len(t.manifests) == 0 {
		return
	}
	if t.fallback {
		index := referrertag.Index(t.subject.Digest)
		if found, err := t.r.resolve(ctx, index); err == nil {
			t.tags, t.manifests = append(t.tags, index), append(t.manifests, found.Digest)
		}
	}
	var byTag, byDigest deletes
	gone := map[string]bool{}
	for _, tag := range t.tags {
		gone[tag] = t.tryTag(ctx, &byTag, tag)
	}
	for _, d := range slices.Backward(t.manifests) { // the subject last
		if err := byDigest.try(ctx, t.r, d.String()); err != nil && !t.r.isAbsent(err) {
			t.left = append(t.left, t.r.named(d.String()))
		}
	}
	for _, tag := range t.tags {
		if !gone[tag] && !(byTag.refused != nil && byDigest.worked) { // with a manifest go all its tags
			t.left = append(t.left, t.r.named(tag))
		}
	}
	slices.Sort(t.left)
	t.deletes(byTag, byDigest)
}

func (t *trial) deletes(byTag, byDigest deletes) {
	const feature = "delete"
	switch {
	case byTag.worked && byDigest.worked:
		t.find(feature, supported, "", "")
	case byDigest.worked && byTag.refused != nil:
		t.find(feature, supported, "not by tag: "+wordsOf(byTag.refused), "deleted is by digest")
	case byDigest.worked:
		t.find(feature, supported, "", "")
	case byTag.worked && byDigest.refused != nil:
		t.find(feature, supported, "only tags: "+wordsOf(byDigest.refused), "a manifest without a tag stays")
	case byTag.worked:
		t.find(feature, supported, "with the last tag of a manifest it is gone too", "every manifest of a catalog has a tag")
	case byTag.refused != nil:
		t.find(feature, verdict(byTag.refused), wordsOf(byTag.refused), "entries are removed by writing, not by deleting")
	}
}

// answers says how often a registry did not answer for lack of time or strength.
func (t *trial) answers() {
	const feature = "answers every request"
	if t.asked.throttled+t.asked.failed == 0 {
		if t.asked.sent > 0 {
			t.find(feature, supported, "", "")
		}
		return
	}
	quirk := fmt.Sprintf("%d were answered by %d, and %d by 5xx or not at all, of %d", t.asked.throttled, http.StatusTooManyRequests, t.asked.failed, t.asked.sent)
	t.find(feature, unsupported, quirk, "asked again after the time that it names, or after longer and longer ones")
}
