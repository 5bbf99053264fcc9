package catalog

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxFound bounds the signatures that one evaluation keeps, in bytes: what they
// are together for some thousand entries, and not what a stranger puts there.
const maxFound = 32 << 20

// retain holds the signatures that were found of a revision for the next snapshot,
// if they prove what is wanted: what does not would be looked up again anyway.
func (e *evaluator) retain(tag revision.Tag, check trust.Check, found []signature.Signature) {
	if check.Result != entry.VerdictVerified {
		return
	}
	texts := snapshotTexts(e.policy, e.rule(tag.Name), check.Digest, found)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range texts {
		if e.foundBytes+len(text) <= maxFound {
			e.foundBytes += len(text)
			e.found[tag] = append(e.found[tag], text)
		}
	}
}

// snapshotTexts returns signatures of a digest as a snapshot carries them. There is room
// for few, so those come first that are by somebody whom the rule names: a
// stranger can put any number beside them. A nil policy names nobody.
func snapshotTexts(policy *trust.Policy, rule trust.AppliedRule, d digest.Digest, found []signature.Signature) [][]byte {
	var first, others [][]byte
	for _, one := range found {
		if policy != nil && len(found) > 1 && len(rule.Check(trust.SubjectEntry, d, signature.Evidence{Signatures: []signature.Signature{one}}).Signers) > 0 {
			first = append(first, one.JSON())
		} else {
			others = append(others, one.JSON())
		}
	}
	return slices.Concat(first, others)
}

// compact writes a snapshot if one is due. counting is what the command found out about
// revisions, nil for nothing.
func (c *Catalog) compact(ctx context.Context, view *ocilog.View, counting *counting) (bool, error) {
	s := &snapshotLookups{}
	if counting != nil {
		s.verdicts = counting.verdicts
	}
	ctx = context.WithValue(ctx, boundsKey{}, &s.bounds)
	return c.log.Compact(context.WithValue(ctx, snapshotLookupsKey{}, s), view)
}

// snapshotLookups bound what is looked up for one snapshot.
type snapshotLookups struct {
	bounds   bounds
	verdicts map[digest.Digest]entry.Verdict // of revisions; read-only
}

type snapshotLookupsKey struct{}

// lookUpForSnapshot finds the signatures of a revision for a snapshot to carry,
// if this process has to do with signatures at all. What strangers appended is looked up
// within bounds: a revision without its signatures in the snapshot is looked up by
// whoever reads it.
func (c *Catalog) lookUpForSnapshot(ctx context.Context, tag revision.Tag, manifest digest.Digest) [][]byte {
	policy := c.policy()
	if policy == nil && !c.collects.Load() {
		return nil
	}
	s, isBounded := ctx.Value(snapshotLookupsKey{}).(*snapshotLookups)
	if isBounded {
		if verdict := s.verdicts[manifest]; s.bounds.isSpent() || verdict != "" && verdict != entry.VerdictVerified {
			return nil
		}
	}
	const enough = 8 // requests for the signatures of what nobody attacks
	store := bound(ctx, c.repository)
	found := signature.Find(ctx, store, manifest).Signatures
	if len(found) > 0 && store.used.Load() <= enough {
		store.giveBack()
	} else if isBounded {
		s.bounds.strangers.Add(1)
	}
	if policy == nil {
		return snapshotTexts(nil, trust.AppliedRule{}, manifest, found)
	}
	return snapshotTexts(policy, policy.For(c.Reference(), tag.Name), manifest, found)
}
