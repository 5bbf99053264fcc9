package catalog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// lookups bounds the signatures that are looked up at once; the client bounds
// the requests to each host.
const lookups = 16

// judge applies the policy to revisions of one view. It is safe for concurrent
// use; call done once at the end.
type judge struct {
	*Catalog
	view *ocilog.View // nil where an older state was asked for
	// shadowed are the names of which something is no longer in the registry.
	shadowed map[string]bool

	mu    sync.Mutex
	found map[entry.Tag][][]byte // signatures that no snapshot carried
}

// newJudge makes the judge of a view whose heads were looked up, or of single
// revisions for nil.
func (c *Catalog) newJudge(view *ocilog.View) *judge {
	j := &judge{Catalog: c, view: view, shadowed: map[string]bool{}, found: map[entry.Tag][][]byte{}}
	if view != nil {
		for _, name := range view.DeletedNames() {
			j.shadowed[name] = true
		}
	}
	return j
}

// done keeps what was found out, for other processes and the next snapshot.
func (j *judge) done() {
	j.options.Verdicts.Save()
	if len(j.found) > 0 {
		j.log.AddAllSignatures(j.found)
	}
}

func (j *judge) rule(name string) *trust.Rule { return j.options.Policy.Rule(j.Reference(), name) }

// report says what the policy makes of a revision of the log.
func (j *judge) report(ctx context.Context, revision *entry.Revision) trust.Report {
	rule := j.rule(revision.Tag.Name)
	var checks []trust.Check
	for _, what := range rule.Subjects() {
		check := trust.Check{}
		if what == trust.Image && revision.Document != nil {
			check = j.image(ctx, rule, revision.Document.Image)
		} else {
			check = j.entry(ctx, rule, revision) // a removal has no image: itself must be signed
			check.What = what
		}
		checks = append(checks, check)
	}
	report := trust.Compose(rule, checks...)
	if !j.shadowed[revision.Tag.Name] || report.Verdict != trust.Verified {
		return report
	}
	switch lost, err := j.lost(ctx, revision.Tag.Name); {
	case err != nil:
		return report.Spoil(trust.Check{What: trust.Latest, Result: trust.Unknown, Digest: revision.Digest, Reason: err.Error()})
	case lost != nil:
		return report.Spoil(trust.Check{What: trust.Latest, Result: trust.Invalid, Digest: lost.Digest, Reason: rolledBack(lost)})
	}
	return report
}

// entry checks a revision's signatures: not at all where they were verified
// before; those that a snapshot carries, which count only if they prove
// something, because a snapshot is its writer's word; and then those in the
// registry.
func (j *judge) entry(ctx context.Context, rule *trust.Rule, revision *entry.Revision) trust.Check {
	policy := j.options.Policy
	if check, ok := j.options.Verdicts.Recall(policy, rule, trust.Entry, revision.Digest); ok {
		return check
	}
	check := policy.Check(rule, trust.Entry, revision.Digest, evidenceOf(j.log.Signatures(revision.Tag)))
	if check.Result != trust.Verified && rule != nil {
		var found []trust.Signature
		check, found = j.lookUp(ctx, rule, trust.Entry, j.repository, revision.Digest)
		j.keep(revision.Tag, found)
	}
	j.options.Verdicts.Remember(policy, rule, check)
	return check
}

func evidenceOf(texts []jsontext.Value) (evidence trust.Evidence) {
	for _, text := range texts {
		if signature, ok := trust.ParseSignature(text); ok {
			evidence.Signatures = append(evidence.Signatures, signature)
		}
	}
	return evidence
}

// learned checks the signatures that a snapshot carries while the rest of it
// is still being decoded. What they prove is remembered; what they do not is
// looked up when the revision is judged.
func (c *Catalog) learned(revision *entry.Revision, signatures []jsontext.Value) {
	policy := c.options.Policy
	rule := policy.Rule(c.Reference(), revision.Tag.Name)
	if _, known := c.options.Verdicts.Recall(policy, rule, trust.Entry, revision.Digest); known || rule == nil || rule.Require == trust.RequireImage || len(signatures) == 0 {
		return
	}
	c.options.Verdicts.Remember(policy, rule, policy.Check(rule, trust.Entry, revision.Digest, evidenceOf(signatures)))
}

func (j *judge) image(ctx context.Context, rule *trust.Rule, image entry.Image) trust.Check {
	policy := j.options.Policy
	if check, ok := j.options.Verdicts.Recall(policy, rule, trust.Image, image.Digest); ok {
		return check
	}
	ref, err := registry.ParseReference(image.Reference)
	if err == nil {
		var repository registry.Repository
		if repository, err = j.options.Registry.Open(ref); err == nil {
			check, _ := j.lookUp(ctx, rule, trust.Image, repository, image.Digest)
			j.options.Verdicts.Remember(policy, rule, check)
			return check
		}
	}
	return trust.Check{What: trust.Image, Result: trust.Unknown, Digest: image.Digest, Reason: err.Error()}
}

// lookUp checks the signatures in a repository, and asks for no more of them
// than it takes.
func (j *judge) lookUp(ctx context.Context, rule *trust.Rule, what string, from trust.Store, d digest.Digest) (check trust.Check, found []trust.Signature) {
	evidence := trust.FindMore(ctx, from, d, func(evidence trust.Evidence) bool {
		return j.options.Policy.Check(rule, what, d, evidence).Result == trust.Verified
	})
	return j.options.Policy.Check(rule, what, d, evidence), evidence.Signatures
}

func (j *judge) keep(tag entry.Tag, found []trust.Signature) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, signature := range found {
		j.found[tag] = append(j.found[tag], signature.JSON())
	}
}

// lost returns a revision that is later than what decides a name now, was
// signed as the policy wants, and is no longer in the registry: then an older
// state is shown as the newest, and no signature on that says so.
func (j *judge) lost(ctx context.Context, name string) (*entry.Revision, error) {
	deleted, err := j.view.Deleted(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, revision := range deleted {
		switch check := j.entry(ctx, j.rule(name), revision); check.Result {
		case trust.Verified:
			return revision, nil
		case trust.Unknown:
			return nil, fmt.Errorf("%w: a later revision was deleted (%s), and whether it was signed is not known: %s", entry.ErrUnreachable, revision.Tag, check.Reason)
		}
	}
	return nil, nil
}

func rolledBack(lost *entry.Revision) string {
	return fmt.Sprintf("rolled back: a later, signed revision is no longer in the registry (%s, of %s)", lost.Tag, lost.Tag.Time().Format(time.RFC3339))
}

// all judges revisions in parallel, and returns a report of each.
func (j *judge) all(ctx context.Context, revisions []*entry.Revision) []trust.Report {
	reports := make([]trust.Report, len(revisions))
	group := errgroup.Group{}
	group.SetLimit(lookups)
	for i, revision := range revisions {
		group.Go(func() error {
			reports[i] = j.report(ctx, revision)
			return nil
		})
	}
	_ = group.Wait() // never fails: what went wrong is in the reports
	return reports
}
