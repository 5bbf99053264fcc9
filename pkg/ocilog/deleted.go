package ocilog

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Deleted returns the revisions of a name that are later than the one which
// decides it, known from a snapshot or the cache, and no longer in the
// registry; in log order. Somebody deleted them, or the registry shows an older
// state: whoever demands signatures looks at theirs (Log.Signatures) before
// believing what decides the name now. They are genuine, and need not be
// signed.
func (v *View) Deleted(ctx context.Context, name string) ([]*entry.Revision, error) {
	head, err := v.Head(ctx, name, time.Time{})
	if err != nil {
		return nil, err
	}
	var want []entry.Tag
	v.mu.Lock()
	for tag := range v.deleted {
		if tag.Name == name && (head == nil || head.Tag.Compare(tag) < 0) {
			want = append(want, tag)
		}
	}
	v.mu.Unlock()
	slices.SortFunc(want, entry.Tag.Compare)
	var found []*entry.Revision
	for _, tag := range want {
		if revision := v.remembered(ctx, tag); revision != nil {
			found = append(found, revision)
		}
	}
	return found, nil
}

// DeletedNames returns the names of which this view has met revisions that are
// known and no longer in the registry, in text order: those to ask Deleted
// about.
func (v *View) DeletedNames() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := map[string]bool{}
	for tag := range v.deleted {
		names[tag.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// remembered reads a revision without the registry's word that it stands.
func (v *View) remembered(ctx context.Context, tag entry.Tag) *entry.Revision {
	v.mu.Lock()
	manifest := v.deleted[tag]
	v.mu.Unlock()
	if manifest != nil {
		revision, _ := entry.Unpack(tag, manifest)
		return revision
	}
	if revision := v.log.cached(tag); revision != nil {
		return revision
	}
	i, ok := v.snapshot.where[tag]
	if !ok {
		return nil
	}
	blob, err := v.log.segment(ctx, v.snapshot.segments[i])
	if err != nil {
		return nil
	}
	for n, err := range lines(blob) {
		if err != nil {
			break
		}
		if n.tag != tag {
			continue
		}
		if o, err := n.open(); err == nil {
			v.log.learnSignatures(tag, o.signatures)
			revision, _ := entry.Unpack(tag, o.manifest)
			return revision
		}
	}
	return nil
}
