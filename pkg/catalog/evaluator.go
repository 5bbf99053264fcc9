package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxParallel bounds the signatures that are looked up at once; the client bounds
// the requests to each host.
const maxParallel = 16

// withLookupBudget bounds how many signatures are looked up on behalf of one request of a
// stranger to a server: what is beyond is unknown.
func withLookupBudget(ctx context.Context) context.Context {
	left := new(atomic.Int64)
	left.Store(lookupBudget)
	return context.WithValue(ctx, lookupBudgetKey{}, left)
}

const lookupBudget = 64

type lookupBudgetKey struct{}

func mayLookUp(ctx context.Context) bool {
	left, bounded := ctx.Value(lookupBudgetKey{}).(*atomic.Int64)
	return !bounded || left.Add(-1) >= 0
}

// evaluator applies the policy to the revisions of one view. It is safe for
// concurrent use; call done once at the end.
type evaluator struct {
	*Catalog
	policy *trust.Policy // of the catalog, when the evaluation began
	// ruler is another catalog, by whose rules this one is evaluated; "" is none.
	ruler string
	view  *ocilog.View // nil where single revisions are checked
	asOf  time.Time    // the time of the state that is checked; zero is now
	// fresh takes evidence from the registry and from snapshots only, not from
	// what was verified or found before.
	fresh bool
	// everybody looks for all signatures, not only for enough of them.
	everybody bool
	// offline asks no registry: what is not at hand is unknown.
	offline bool
	// doubtful are the names of which something vanished, or cannot be read.
	doubtful map[string]bool

	mu         sync.Mutex
	found      map[revision.Tag][][]byte // signatures that no snapshot carried
	foundBytes int
	confirmed  []revision.Tag
}

// newEvaluator makes the evaluator of a view whose heads of asOf were looked up,
// or of single revisions for nil.
func (c *Catalog) newEvaluator(view *ocilog.View, asOf time.Time) *evaluator {
	e := &evaluator{Catalog: c, policy: c.policy(), view: view, asOf: asOf, doubtful: map[string]bool{}, found: map[revision.Tag][][]byte{}}
	if view != nil {
		for _, name := range slices.Concat(view.VanishedNames(asOf), view.UnreadableNames()) {
			e.doubtful[name] = true
		}
	}
	return e
}

// done keeps what was found out, for other processes and the next snapshot.
func (e *evaluator) done(ctx context.Context) {
	e.verdicts.Save()
	e.log.Confirm(e.confirmed...)
	e.log.AddAllSignatures(ctx, e.found)
	if err := e.log.Save(ctx); err != nil {
		e.warn(WarnStore, "", err)
	}
}

func (e *evaluator) rule(name string) trust.AppliedRule {
	return e.policy.For(cmp.Or(e.ruler, e.ruledBy()), name)
}

// ruledBy is the catalog whose rules are for this one.
func (c *Catalog) ruledBy() string { return cmp.Or(c.ruledAs, c.Reference()) }

// report says what the policy makes of a revision of the log.
func (e *evaluator) report(ctx context.Context, revision *revision.Revision) trust.Report {
	rule := e.rule(revision.Tag.Name)
	var checks []trust.Check
	for _, what := range rule.Require {
		if len(checks) > 0 && checks[0].Result != entry.VerdictVerified {
			break // whoever wrote the entry says which host would be asked about its image
		}
		check := trust.Check{}
		if what == trust.SubjectImage && revision.Document != nil {
			check = e.image(ctx, rule, revision.Document.Image)
		} else {
			check = e.entry(ctx, rule, revision.Tag, revision.Digest, e.fresh) // a removal has no image: itself must be signed
			check.Subject = what
		}
		checks = append(checks, check)
		if what == trust.SubjectEntry && check.Result == entry.VerdictVerified && e.ruler == "" && admits(rule, revision.Catalog()) {
			e.confirm(revision.Tag)
			e.vouch(revision)
		}
	}
	report, foreign := judge(rule, revision, checks)
	if foreign {
		return report
	}
	if e.doubtful[revision.Tag.Name] && (report.Verdict == entry.VerdictVerified || rule.Warn) {
		if check := e.latest(ctx, revision.Tag.Name, revision.Tag); check.Result != entry.VerdictVerified {
			return rule.Report(append(checks, check)...)
		}
	}
	return report
}

// judge makes a report of the checks of a revision. foreign reports whether these would
// verify it, had it been published where its rule wants.
func judge(rule trust.AppliedRule, rev *revision.Revision, checks []trust.Check) (report trust.Report, foreign bool) {
	report = rule.Report(checks...)
	if report.Verdict != entry.VerdictVerified || admits(rule, rev.Catalog()) {
		return report, false
	}
	origin := trust.Check{Subject: trust.SubjectOrigin, Result: entry.VerdictUntrusted, Digest: rev.Digest, Reason: foreignOrigin(rev)}
	return rule.Report(append(checks, origin)...), true
}

// confirm notes that a revision is verified: it is missed once it is absent.
func (e *evaluator) confirm(tag revision.Tag) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.confirmed = append(e.confirmed, tag)
}

// vouch tells the gate that the writer of an entry is believed, and so its
// reference: nobody signed that where only the image need be signed. It comes
// before the image is opened to look for further signatures. A policy that was
// replaced meanwhile vouches for nothing.
func (e *evaluator) vouch(revision *revision.Revision) {
	if gate := e.opener.gate.Load(); gate != nil && revision.Document != nil && e.Catalog.policy() == e.policy {
		gate.Vouch(revision.Document.Image.Reference)
	}
}

// foreignOrigin says where a revision was published, if not where its rule wants.
func foreignOrigin(revision *revision.Revision) string {
	if revision.Catalog() == "" {
		return "it does not say in which catalog it was published, and the rule names some"
	}
	return fmt.Sprintf("it was published in %s, which the rule does not name", revision.Catalog())
}

// entry checks a revision's signatures: not at all where they were verified
// before; those that a snapshot carries, which count only if they prove
// something, because a snapshot is its writer's word; and then those in the
// registry.
func (e *evaluator) entry(ctx context.Context, rule trust.AppliedRule, tag revision.Tag, d digest.Digest, fresh bool) trust.Check {
	check := e.entrySignatures(ctx, rule, tag, d, fresh)
	e.verdicts.Remember(rule, check)
	return check
}

func (e *evaluator) entrySignatures(ctx context.Context, rule trust.AppliedRule, tag revision.Tag, d digest.Digest, fresh bool) trust.Check {
	if fresh {
		return e.freshSignatures(ctx, rule, tag, d)
	}
	recalled, ok := e.verdicts.Recall(rule, trust.SubjectEntry, d)
	if ok && !e.everybody {
		return recalled
	}
	known := evidenceOf(e.log.Signatures(tag)).Signatures
	check := rule.Check(trust.SubjectEntry, d, signature.Evidence{Signatures: known})
	if rule.Name != "" && (check.Result != entry.VerdictVerified || e.everybody) {
		looked, found := e.lookUp(ctx, rule, trust.SubjectEntry, e.repository, d, known...)
		e.retain(tag, looked, found)
		if looked.Result == entry.VerdictVerified || check.Result != entry.VerdictVerified {
			check = looked
		}
		if check.Result != entry.VerdictVerified {
			check = e.withCarried(ctx, rule, tag, check, found)
		}
	}
	if ok && check.Result != entry.VerdictVerified {
		return recalled
	}
	return check
}

// freshSignatures looks into the registry first, so that what is missing there is
// noticed, although a snapshot may prove it.
func (e *evaluator) freshSignatures(ctx context.Context, rule trust.AppliedRule, tag revision.Tag, d digest.Digest) trust.Check {
	check, found := e.lookUp(ctx, rule, trust.SubjectEntry, e.repository, d)
	e.retain(tag, check, found)
	if check.Result == entry.VerdictVerified || rule.Name == "" {
		return check
	}
	carried := e.withCarried(ctx, rule, tag, check, found)
	if carried.Result != entry.VerdictVerified {
		return check
	}
	carried.Reason = "by a signature that a snapshot carries; in the registry " + check.Reason
	return carried
}

// withCarried returns a check, or one that counts as well what a snapshot carries, if the
// two together verify the revision.
func (e *evaluator) withCarried(ctx context.Context, rule trust.AppliedRule, tag revision.Tag, check trust.Check, found []signature.Signature) trust.Check {
	carry := e.log.SnapshotSignatures(tag)
	if !e.offline {
		carry = e.log.ReadSignatures(ctx, tag)
	}
	evidence := evidenceOf(carry)
	evidence.Signatures = append(evidence.Signatures, found...)
	if carried := rule.Check(trust.SubjectEntry, check.Digest, evidence); carried.Result == entry.VerdictVerified {
		return carried
	}
	return check
}

func evidenceOf(texts []jsontext.Value) (evidence signature.Evidence) {
	for _, text := range texts {
		if signature, ok := signature.Parse(text); ok {
			evidence.Signatures = append(evidence.Signatures, signature)
		}
	}
	return evidence
}

// checkCarried checks the signatures that a snapshot carries while the rest of it
// is still being decoded. What they prove is remembered; what they do not is
// looked up when the revision is evaluated.
func (c *Catalog) checkCarried(revision *revision.Revision, signatures []jsontext.Value) {
	policy := c.policy()
	rule := policy.For(c.ruledBy(), revision.Tag.Name)
	if _, known := c.verdicts.Recall(rule, trust.SubjectEntry, revision.Digest); known || rule.Name == "" || !slices.Contains(rule.Require, trust.SubjectEntry) || len(signatures) == 0 {
		return
	}
	c.verdicts.Remember(rule, rule.Check(trust.SubjectEntry, revision.Digest, evidenceOf(signatures)))
}

func (e *evaluator) image(ctx context.Context, rule trust.AppliedRule, image revision.Image) trust.Check {
	recalled, ok := e.verdicts.Recall(rule, trust.SubjectImage, image.Digest)
	if ok && !e.fresh && !e.everybody {
		return recalled
	}
	ref, err := registry.ParseReference(image.Reference)
	if err == nil {
		if check := e.imageInCopies(ctx, rule, ref, image.Digest); check.Result == entry.VerdictVerified {
			e.verdicts.Remember(rule, check)
			return check
		}
		var repository registry.Repository
		if repository, err = e.opener.open(ref); err == nil {
			check, _ := e.lookUp(ctx, rule, trust.SubjectImage, repository, image.Digest)
			if ok && !e.fresh && check.Result != entry.VerdictVerified {
				return recalled
			}
			e.verdicts.Remember(rule, check)
			return check
		}
	}
	if ok && !e.fresh {
		return recalled
	}
	return trust.Check{Subject: trust.SubjectImage, Result: entry.VerdictUnknown, Digest: image.Digest, Reason: err.Error()}
}

// imageInCopies checks the signatures of an image where the catalog has copies of it.
// That they prove nothing there says nothing.
func (e *evaluator) imageInCopies(ctx context.Context, rule trust.AppliedRule, ref registry.Reference, d digest.Digest) (check trust.Check) {
	if e.offline {
		return check
	}
	for _, at := range e.copiesOf(ctx, ref) {
		repository, err := e.opener.openAgain(at)
		if err != nil {
			continue
		}
		if check, _ = e.lookUp(ctx, rule, trust.SubjectImage, repository, d); check.Result == entry.VerdictVerified {
			break
		}
	}
	return check
}

// lookUp checks the signatures in a repository, and asks for no more of them
// than it takes. Those that are known already count only if the two together
// prove what is wanted: who signed first may be in a snapshot, and who approved
// later in the registry.
func (e *evaluator) lookUp(ctx context.Context, rule trust.AppliedRule, what trust.Subject, from signature.Store, d digest.Digest, known ...signature.Signature) (check trust.Check, found []signature.Signature) {
	if e.offline || !mayLookUp(ctx) {
		return trust.Check{Subject: what, Result: entry.VerdictUnknown, Digest: d, Reason: "its signatures were not looked up yet"}, nil
	}
	decide := func(evidence signature.Evidence) trust.Check {
		check := rule.Check(what, d, evidence)
		if len(known) > 0 && (check.Result != entry.VerdictVerified || e.everybody) {
			evidence.Signatures = slices.Concat(known, evidence.Signatures)
			if both := rule.Check(what, d, evidence); both.Result == entry.VerdictVerified {
				return both
			}
		}
		return check
	}
	store := bound(ctx, from)
	evidence := signature.FindMore(ctx, store, d, func(evidence signature.Evidence) bool {
		if !e.everybody {
			check = decide(evidence)
		}
		return check.Result == entry.VerdictVerified
	})
	if check.Result != entry.VerdictVerified { // there was more to find, or to wait for
		check = decide(evidence)
	}
	if check.Result == entry.VerdictVerified {
		store.giveBack()
	}
	return check, evidence.Signatures
}

// latest checks that nothing verified, and nothing that cannot be read, is later
// than what decides a name; head is its tag, or zero. Otherwise an older state is
// shown as the newest, and no signature on that says so.
func (e *evaluator) latest(ctx context.Context, name string, head revision.Tag) trust.Check {
	check := trust.Check{Subject: trust.SubjectLatest, Result: entry.VerdictVerified}
	if unreadable := e.view.Unreadable(name, head, e.asOf); len(unreadable) > 0 {
		check.Result = entry.VerdictInvalid
		check.Reason = fmt.Sprintf("what stands under its latest tag is no revision; if it never was one, delete the tag %s", unreadable[len(unreadable)-1])
		return check
	}
	for _, lost := range e.view.Vanished(ctx, name, head, e.asOf) {
		if !e.admits(name, lost) {
			continue // a copy from elsewhere is no loss of this catalog
		}
		switch signed := e.entry(ctx, e.rule(name), lost.Tag, lost.Digest, false); signed.Result {
		case entry.VerdictVerified:
			return trust.Check{Subject: trust.SubjectLatest, Result: entry.VerdictInvalid, Digest: lost.Digest, Reason: rolledBack(lost)}
		case entry.VerdictUnknown:
			check.Result, check.Digest = entry.VerdictUnknown, lost.Digest
			check.Reason = fmt.Sprintf("a later revision vanished (%s), and whether it was signed is not known: %s", lost.Tag, signed.Reason)
		default:
			e.warn(WarnLog, name, fmt.Errorf("entry %q: a later revision, %s, is no longer in the registry (%s)", name, signed.Result, lost.Tag))
		}
	}
	return check
}

// admits reports whether a rule allows what was published in a catalog, given the
// normal form of its reference; "" is what does not say where it was.
func admits(rule trust.AppliedRule, catalog string) bool {
	if len(rule.Origins) == 0 {
		return true
	}
	return catalog != "" && slices.ContainsFunc(rule.Origins, func(pattern string) bool { return normal.Match(pattern, catalog) })
}

// admits reports whether what vanished was published where the rule wants; where
// nothing holds it any more, whether that was found out before.
func (e *evaluator) admits(name string, lost ocilog.Vanished) bool {
	rule := e.rule(name)
	if admits(rule, "") {
		return true
	}
	if lost.Revision == nil {
		return lost.Verified
	}
	return admits(rule, lost.Revision.Catalog())
}

func rolledBack(lost ocilog.Vanished) string {
	return fmt.Sprintf("rolled back: a later, signed revision is no longer in the registry (%s, of %s)", lost.Tag, lost.Tag.Time().Format(time.RFC3339))
}

// verifies reports whether the policy verifies a revision by itself, whatever
// else there is of its name. Without a policy, everybody is believed.
func (c *Catalog) verifies(ctx context.Context, revision *revision.Revision) bool {
	return c.policy() == nil || c.newEvaluator(nil, zeroTime).report(ctx, revision).Verdict == entry.VerdictVerified
}

// hasEntrySignatures reports whether a revision has the signatures of its own that
// the policy wants, whatever that wants of the image: so it was this team's.
func (c *Catalog) hasEntrySignatures(ctx context.Context, revision *revision.Revision) bool {
	e := c.newEvaluator(nil, zeroTime)
	rule := e.rule(revision.Tag.Name)
	return admits(rule, revision.Catalog()) && e.entry(ctx, rule, revision.Tag, revision.Digest, false).Result == entry.VerdictVerified
}

// all evaluates revisions in parallel, and returns a report of each.
func (e *evaluator) all(ctx context.Context, revisions []*revision.Revision) []trust.Report {
	reports, _ := e.allInTime(ctx, revisions)
	return reports
}

// allInTime is all, and returns which reports were made before ctx ended.
func (e *evaluator) allInTime(ctx context.Context, revisions []*revision.Revision) (reports []trust.Report, inTime []bool) {
	reports, inTime = make([]trust.Report, len(revisions)), make([]bool, len(revisions))
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for i, revision := range revisions {
		group.Go(func() error {
			reports[i] = e.report(ctx, revision)
			inTime[i] = ctx.Err() == nil
			return nil
		})
	}
	_ = group.Wait() // never fails: what went wrong is in the reports
	return reports, inTime
}
