package ocilog

import (
	"context"
	"maps"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
)

// HeadRef is a revision that decides its name, without what it says.
type HeadRef struct {
	Tag    revision.Tag
	Digest digest.Digest // of the revision's manifest
}

// HeadRefs is Heads for a program that holds by itself what the publications say:
// it decodes only what was never decoded before. others are the heads that are not
// live: removals, and publications of a later format.
func (v *View) HeadRefs(ctx context.Context) (live, others []HeadRef, err error) {
	replay, err := v.replay(ctx, v.tags, time.Time{}, v.stubs)
	if err != nil {
		return nil, nil, err
	}
	for _, revision := range replay.Heads() {
		head := HeadRef{Tag: revision.Tag, Digest: revision.Digest}
		if revision.Live() {
			live = append(live, head)
		} else {
			others = append(others, head)
		}
	}
	return live, others, nil
}

// Revisions returns what heads of this view say, in their order; nil for one that
// the registry deleted since.
func (v *View) Revisions(ctx context.Context, heads []HeadRef) ([]*revision.Revision, error) {
	want := make([]revision.Tag, len(heads))
	for i, head := range heads {
		want[i] = head.Tag
	}
	found, err := v.find(ctx, want)
	if err != nil {
		return nil, err
	}
	revisions := make([]*revision.Revision, len(heads))
	for i, head := range heads {
		revisions[i] = found[head.Tag]
	}
	return revisions, nil
}

// Release drops the decoded revisions from memory. Which tags are those of
// revisions stays known.
func (l *Log) Release() { l.decoded.Purge() }

// stubs is the loader of revisions that need not say more than that they are
// there: of those that were decoded once, only tag and digest are set.
func (v *View) stubs(ctx context.Context, want []revision.Tag) (map[revision.Tag]*revision.Revision, error) {
	want, err := v.dropAbsent(ctx, want)
	if err != nil {
		return nil, err
	}
	known := make(map[revision.Tag]*revision.Revision, len(want))
	var unknown []revision.Tag
	v.log.known.mu.Lock()
	for _, tag := range want {
		if f := v.log.known.facts[tag]; f != nil && f.kind == valid {
			known[tag] = &revision.Revision{Tag: tag, Digest: f.digest}
		} else {
			unknown = append(unknown, tag)
		}
	}
	v.log.known.mu.Unlock()
	found, err := v.find(ctx, unknown)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, found)
	return known, nil
}
