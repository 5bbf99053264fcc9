package catalog

import (
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
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
