package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// verifyAtOnce is how many entries are verified at a time; the client bounds
// the requests to each host.
const verifyAtOnce = 16

type verifyOptions struct {
	*app
	trustFlags
	all    bool
	resume bool
	strict bool
}

func newVerify(a *app) *cobra.Command {
	o := &verifyOptions{app: a}
	command := &cobra.Command{
		Use:   "verify NAME... | --all",
		Short: "Check entries for real: image, content and signatures",
		Long: `Check each entry for real: that its tag holds it and nothing later is
missing, that the digest that was published can be had, that every platform and
layer is there, that the entry is attached to the image, and that its signatures
are those that the policy, --key or --certificate-identity wants. Without any of
these, signatures are not checked, and the verdict is "-". One line a check, a
verdict an entry.

An entry stands for a digest. That the tag that it was published by has moved is
said, and is an error only with --strict-reference.

With --all, the log itself is checked as well: every revision, live or not, and
the newest snapshot; and images that are live under two names are an error: they
are named, with the command that ends one. An interrupted run is taken up again
by --resume: what was found in order is not checked again.`,
		Example: `  caib catalog verify autosd
  caib catalog verify autosd --key release.pub --require both
  caib catalog verify --all --policy policy.yaml -o json
  caib catalog verify autosd --strict-reference
  caib catalog verify autosd --trusted-root root.json --certificate-identity ci@example.com \
      --certificate-oidc-issuer https://issuer.example.com
  caib catalog verify autosd \
      --certificate-identity https://github.com/team/build/.github/workflows/release.yml@refs/heads/main \
      --certificate-oidc-issuer https://token.actions.githubusercontent.com`,
		Args:              namesOr(&o.all),
		ValidArgsFunction: a.completeNames,
	}
	flags := command.Flags()
	flags.BoolVar(&o.all, "all", false, "verify every live entry")
	flags.BoolVar(&o.resume, "resume", false, "with --all: leave out what an interrupted run has found in order")
	flags.BoolVar(&o.strict, "strict-reference", false, "fail where the tag that an entry was published by names something else now")
	o.trustFlags.register(flags)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *verifyOptions) run(ctx context.Context, args []string) error {
	if o.resume && !o.all {
		return fmt.Errorf("%w: --resume is for --all", entry.ErrInvalid)
	}
	policy, err := o.policy(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	catalogs, err := o.readers(policy, o.verified)
	if err != nil {
		return err
	}
	if r, through := catalogs[0].(*remote); through {
		if catalogs, err = r.catalogs(ctx); err != nil {
			return err
		}
	}
	hash := ""
	if policy != nil {
		hash = policy.Hash()
	}
	if o.strict {
		hash += " strict-reference" // another run than one that took less for in order
	}
	jobs, twice, unlisted := o.jobs(ctx, catalogs, args)
	notes := &journal{}
	if o.all {
		notes = o.openJournal("verify", hash, o.resume)
		jobs = slices.DeleteFunc(jobs, func(j *verifyJob) bool { return notes.has(journalLine{j.catalog.Reference(), j.name, j.revision}) })
	}
	o.verify(ctx, jobs, notes)
	if o.all && ctx.Err() != nil {
		return o.tellInterrupted(ctx, jobs)
	}
	if !o.all && len(catalogs) > 1 {
		jobs = slices.DeleteFunc(jobs, func(j *verifyJob) bool { return elsewhere(j, jobs) })
	}
	damage, unsure := o.examineLogs(ctx, catalogs)
	unlisted = damageOf(unlisted, errors.Join(unsure...))
	err = o.printVerified(jobs, hidden(unlisted), twice, damage)
	o.tellTwins(twice)
	o.tellTwins(unsure)
	failed := errors.Join(errors.Join(twice...), errors.Join(unsure...))
	for _, job := range jobs {
		failed = errors.Join(failed, job.err)
	}
	if o.all {
		notes.finish()
	}
	return o.result(len(jobs), unlisted, failed, err)
}

// tellInterrupted prints what a run of --all has found that did not come to its end,
// and says how to go on.
func (o *verifyOptions) tellInterrupted(ctx context.Context, jobs []*verifyJob) error {
	all := len(jobs) // none where it was not even listed
	jobs = slices.DeleteFunc(jobs, func(j *verifyJob) bool { return !j.done || errors.Is(j.err, ctx.Err()) })
	if err := o.printVerified(jobs, 0, nil, nil); err != nil {
		return err
	}
	if all == 0 {
		return context.Cause(ctx)
	}
	o.note("%d of %s verified; go on with the same command and --resume, which leaves out what was in order", len(jobs), entries(all))
	return context.Cause(ctx)
}

// jobs returns what there is to verify, the images that are live under two names, and
// what cannot be verified.
func (o *verifyOptions) jobs(ctx context.Context, catalogs []reader, args []string) (jobs []*verifyJob, twice []error, unlisted error) {
	for _, c := range catalogs {
		var heads []catalog.Head
		if o.all {
			var err error
			heads, err = c.Heads(ctx)
			unlisted = errors.Join(unlisted, o.refusals(errors.Join(err, refused(c.Reference(), heads))))
			heads = slices.DeleteFunc(heads, isRefused)
			twice = append(twice, twins(heads)...)
		}
		for _, name := range args {
			heads = append(heads, catalog.Head{Name: name})
		}
		for _, head := range heads {
			jobs = append(jobs, &verifyJob{catalog: c, name: head.Name, revision: head.Revision.String(), strict: o.strict})
		}
	}
	return jobs, twice, unlisted
}

// verifyJob is one entry to verify.
type verifyJob struct {
	catalog  reader
	name     string
	revision string // "" where it was not looked up
	strict   bool   // about the reference
	found    catalog.Verification
	err      error
	done     bool
}

// isMoved reports whether the tag that an entry was published by was moved.
func (j *verifyJob) isMoved() bool {
	return slices.ContainsFunc(j.found.Checks, func(c catalog.Check) bool { return c.Result == catalog.Moved })
}

// elsewhere tells a name that one catalog does not have and another does.
func elsewhere(job *verifyJob, all []*verifyJob) bool {
	absent := job.found.Checks == nil && errors.Is(job.err, entry.ErrNotFound) // and not its image
	return absent && slices.ContainsFunc(all, func(other *verifyJob) bool {
		return other != job && other.name == job.name && other.found.Checks != nil
	})
}

// verify looks at all entries, some at a time, and shows how far it is.
func (o *verifyOptions) verify(ctx context.Context, jobs []*verifyJob, notes *journal) {
	bar := o.newProgress(len(jobs))
	defer bar.clear()
	group := errgroup.Group{}
	group.SetLimit(verifyAtOnce)
	for _, job := range jobs {
		group.Go(func() error {
			if ctx.Err() == nil {
				job.found, job.err = job.catalog.Verify(ctx, job.name, catalog.VerifyOptions{StrictReference: o.strict})
				if job.isMoved() && entry.Code(job.err) == "conflict" {
					job.err = withHint(job.err, "an entry stands for its digest: publish the image again under its name, or leave out --strict-reference")
				}
				job.done = true
			} else {
				job.err = context.Cause(ctx)
			}
			if job.err == nil {
				notes.add(journalLine{job.catalog.Reference(), job.name, job.found.Revision.String()})
			}
			bar.step()
			return nil
		})
	}
	_ = group.Wait() // never fails: each job has its own error
}

// hidden counts what is refused and not live: removals that nobody signed, and
// entries that were taken away.
func hidden(err error) int {
	var refused *refusedError
	if withheld, ok := errors.AsType[*client.RefusedError](err); ok {
		return withheld.Names
	}
	if errors.As(err, &refused) {
		return len(refused.errors)
	}
	return 0
}

func (o *verifyOptions) printVerified(jobs []*verifyJob, hidden int, twice []error, damage []catalog.Finding) error {
	switch o.settings.output {
	case "json", "yaml":
		items := []catalog.Verification{}
		for _, job := range jobs {
			if job.found.Name != "" {
				items = append(items, job.found)
			}
		}
		found := map[string]any{"items": items, "total": len(items), "summary": summary(jobs, hidden)}
		if len(twice) > 0 {
			found["duplicates"] = problems(twice)
		}
		if len(damage) > 0 {
			found["damage"] = damage
		}
		return o.document(o.settings.output, found)
	case "name":
		for _, job := range jobs {
			if job.err == nil {
				fmt.Fprintln(o.system.Out, job.name)
			}
		}
		return nil
	}
	for _, job := range jobs {
		if o.all && job.err == nil && o.settings.output != "wide" {
			continue // a thousand lines that all is well help nobody
		}
		for _, check := range job.found.Checks {
			fmt.Fprintf(o.system.Out, "%s  %s\n", job.name, checkLine(check))
		}
		verdict := job.word()
		if verdict == string(job.found.Verdict) {
			verdict = string(o.signedCell(job.found.Verdict))
		}
		fmt.Fprintf(o.system.Out, "%s  verdict: %s\n", job.name, verdict)
	}
	if o.all || len(jobs) > 1 {
		counts := summary(jobs, hidden)
		words := slices.Sorted(maps.Keys(counts))
		for i, word := range words {
			words[i] = fmt.Sprintf("%d %s", counts[word], word)
		}
		fmt.Fprintf(o.system.Out, "%s: %s\n", entries(len(jobs)+hidden), strings.Join(words, ", "))
	}
	return nil
}

// word sums up one entry: what is wrong with it, else the verdict of the
// policy, else that its signatures were not checked.
func (j *verifyJob) word() string {
	worst := catalog.Outcome("")
	for _, check := range j.found.Checks {
		switch check.What {
		case catalog.CheckRevision, trust.SubjectLatest, catalog.CheckDigest, catalog.CheckContent:
			if check.Result == catalog.Unknown || check.Result == catalog.Failed && worst == "" {
				worst = check.Result
			}
		case catalog.CheckReference: // information, unless it is asked for
			switch {
			case j.strict && check.Result == catalog.Moved:
				worst = cmp.Or(worst, catalog.Failed)
			case j.strict && check.Result == catalog.Unknown:
				worst = check.Result
			}
		}
	}
	switch {
	case !j.done || j.found.Checks == nil:
		return string(catalog.Unknown)
	case worst != "" && j.found.Verdict != "unknown":
		return string(worst)
	case j.found.Verdict != "":
		return string(j.found.Verdict)
	}
	return "in order, signatures not checked"
}

func summary(jobs []*verifyJob, hidden int) map[string]int {
	counts := map[string]int{}
	if hidden > 0 {
		counts["refused"] = hidden
	}
	for _, job := range jobs {
		counts[job.word()]++
	}
	return counts
}

// checkLine is one check for people.
func checkLine(check catalog.Check) string {
	line := string(check.What) + ": " + string(check.Result)
	switch {
	case check.Signer == "":
	case check.Result == catalog.Outcome(entry.VerdictVerified):
		line += " by " + check.Signer
	default:
		line += ", signed by " + check.Signer
	}
	if check.Time != nil {
		line += " at " + check.Time.Format(time.RFC3339)
	}
	if check.Reason != "" {
		line += ": " + check.Reason
	}
	return line
}

// result is the error of the whole run: one entry's own, or how many failed.
func (o *verifyOptions) result(entries int, unlisted, failed, printed error) error {
	switch {
	case printed != nil, failed == nil:
		return errors.Join(unlisted, failed, printed)
	case entries == 1 && !o.all:
		return trustHint(namesHint(failed))
	case unlisted != nil && o.settings.output != "json":
		o.printError(unlisted)
	}
	return &partialError{text: "not every entry is in order", causes: []error{errors.Join(unlisted, failed)}}
}
