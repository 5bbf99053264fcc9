package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// reportAttached says what the policy makes of an attachment, by the rule of the
// catalog that its document names; one that names none is of no rule, because what the
// attachment itself names is nobody's signed word. Looked at are the signatures beside
// it and, of a revision of this catalog, those that stand here; of the image, those in
// the repository that it was found in. No other catalog is opened, so that there nothing
// but what is verified is known: the rest is unknown. images are the checks of the image
// so far, by the name of the rule.
func (e *evaluator) reportAttached(ctx context.Context, a *revision.Attachment, beside [][]jsontext.Value, repository registry.Repository, images map[string]trust.Check) trust.Report {
	rev, named := a.Revision, a.Revision.Catalog()
	here := named == e.normal
	rule := e.rule(rev.Tag.Name)
	if !here {
		rule = e.policy.For(named, rev.Tag.Name)
	}
	unknown := func(format string, args ...any) trust.Report {
		return trust.Report{Verdict: entry.VerdictUnknown, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case named == "":
		return unknown("its document names no catalog, and what else names one is not signed")
	case rule.Name == "":
		return unknown("no rule of the policy is for entries of its catalog")
	case !slices.Contains(rule.Require, trust.SubjectEntry):
		return unknown("the policy wants no signature of the entry, and whoever may write beside the image may say anything of it")
	}
	var checks []trust.Check
	for _, what := range rule.Require {
		if what == trust.SubjectImage && rev.Document != nil { // a removal has no image: itself must be signed
			check, ok := images[rule.Name]
			if !ok {
				check, _ = e.lookUp(ctx, rule, what, repository, rev.Document.Image.Digest)
				images[rule.Name] = check
			}
			checks = append(checks, check)
			continue
		}
		check, known := checkBeside(rule, rev, beside)
		if check.Result != entry.VerdictVerified && here {
			check, _ = e.lookUp(ctx, rule, what, e.repository, rev.Digest, known...)
		}
		checks = append(checks, check)
	}
	report, foreign := judge(rule, rev, checks)
	switch {
	case foreign:
	case report.Verdict == entry.VerdictVerified && here:
		report.Reason = "its signatures hold, and the log of this catalog does not have it"
	case report.Verdict == entry.VerdictVerified:
		report.Reason = "whether it is still live only its catalog knows"
	case !here && len(beside) == 0:
		return unknown("no signatures are beside it, and its catalog was not asked for any")
	case !here:
		return unknown("%s; its catalog, which may have more signatures, was not asked", report.Reason)
	}
	return report
}

// maxBeside bounds the artifacts whose signatures are checked apart from the others.
const maxBeside = 16

// checkBeside checks the signatures beside an attachment, all together; if they prove
// nothing, those of each artifact, because anybody may put any number of others there.
// It returns them as far as they are looked at, too.
func checkBeside(rule trust.AppliedRule, rev *revision.Revision, beside [][]jsontext.Value) (check trust.Check, all []signature.Signature) {
	all = evidenceOf(slices.Concat(beside...)).Signatures
	all = all[:min(len(all), signature.MaxSignatures)]
	check = rule.Check(trust.SubjectEntry, rev.Digest, signature.Evidence{Signatures: all})
	for _, artifact := range beside[:min(len(beside), maxBeside)] {
		if check.Result == entry.VerdictVerified {
			break
		}
		if alone := rule.Check(trust.SubjectEntry, rev.Digest, evidenceOf(artifact)); alone.Result == entry.VerdictVerified {
			check = alone
		}
	}
	return check, all
}
