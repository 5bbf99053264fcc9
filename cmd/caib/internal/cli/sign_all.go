package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// signJob is one entry to sign.
type signJob struct {
	catalog.Head
	result catalog.SignResult
	err    error
}

// signAll signs the live entries whose names fit the pattern.
func (o *signOptions) signAll(ctx context.Context, c *catalog.Catalog, signing *catalog.Signing) error {
	heads, err := c.Heads(ctx)
	if err != nil {
		return trustHint(err)
	}
	unlisted := o.refusals(refused(c.Reference(), heads))
	var jobs []*signJob
	for _, head := range slices.DeleteFunc(heads, isRefused) {
		if entry.MatchPattern(o.name, head.Name) {
			jobs = append(jobs, &signJob{Head: head})
		}
	}
	if len(jobs) == 0 && o.name != "" {
		return namesHint(errors.Join(unlisted, fmt.Errorf("no live entry has a name like %q: %w", o.name, entry.ErrNotFound)))
	}
	by := signing.Signer.String()
	notes := o.openJournal("sign", fmt.Sprintf("%s %s %t", by, cmp.Or(signing.Format, trust.Bundle), signing.Image), o.resume)
	found := len(jobs)
	jobs = slices.DeleteFunc(jobs, func(j *signJob) bool { return notes.has(o.line(c, j)) })
	if done := found - len(jobs); done > 0 {
		o.note("%s signed by the run before", entries(done))
	}
	if len(jobs) > 0 {
		o.note("signing %s of %s with %s", entries(len(jobs)), c.Reference(), by)
	} else {
		o.note("nothing to sign in %s", c.Reference())
	}
	o.signJobs(ctx, c, signing, jobs, notes)
	if ctx.Err() == nil {
		notes.finish()
	}
	if unlisted != nil && !o.structured() {
		o.printError(unlisted)
	}
	return o.printAll(jobs, unlisted)
}

func (o *signOptions) line(c *catalog.Catalog, job *signJob) journalLine {
	return journalLine{c.Reference(), job.Name, job.Revision.String()}
}

// signJobs signs entries, and shows how far it is.
func (o *signOptions) signJobs(ctx context.Context, c *catalog.Catalog, signing *catalog.Signing, jobs []*signJob, notes *journal) {
	bar := o.newProgress(len(jobs))
	defer bar.clear()
	names := make([]string, len(jobs))
	for i, job := range jobs {
		names[i] = job.Name
	}
	c.SignAll(ctx, names, *signing, func(i int, result catalog.SignResult, err error) {
		job := jobs[i]
		job.result, job.err = result, err
		if err == nil {
			job.Revision = result.Signature.Digest
			notes.add(o.line(c, job))
		} else if s := &job.result.Signature; s.Outcome == catalog.Skipped {
			s.Outcome, s.Reason = catalog.Failed, message(err)
		}
		bar.step()
	})
}

// printAll prints a line for each entry, and how many came out how.
func (o *signOptions) printAll(jobs []*signJob, failed error) error {
	results := []catalog.SignResult{}
	counts := map[string]int{}
	for _, job := range jobs {
		results = append(results, job.result)
		counts[string(job.outcome())]++
		failed = errors.Join(failed, job.err)
		switch {
		case o.structured():
		case o.settings.output != "name":
			fmt.Fprintln(o.system.Out, job.line())
		case job.err == nil:
			fmt.Fprintln(o.system.Out, job.Name)
		}
	}
	var printed error
	switch {
	case o.structured():
		printed = o.document(o.settings.output, map[string]any{"items": results, "total": len(results), "summary": counts})
	case o.settings.output != "name" && len(jobs) > 0:
		words := slices.Sorted(maps.Keys(counts))
		for i, word := range words {
			words[i] = fmt.Sprintf("%d %s", counts[word], word)
		}
		fmt.Fprintf(o.system.Out, "%s: %s\n", entries(len(jobs)), strings.Join(words, ", "))
	}
	if failed == nil || printed != nil {
		return errors.Join(failed, printed)
	}
	return &partialError{text: "not every entry is signed", causes: []error{failed}}
}

// outcome is what became of an entry and, where it was asked for, its image.
func (j *signJob) outcome() catalog.Outcome {
	if j.err != nil {
		return catalog.Failed
	}
	return j.result.Signature.Outcome
}

// line is one entry for people.
func (j *signJob) line() string {
	words := []string{string(j.outcome()), j.Name}
	if j.result.Tag != "" {
		words = append(words, j.result.Tag)
	}
	line := strings.Join(words, " ")
	if j.result.ImageSignature != nil {
		line += fmt.Sprintf(", image %s", j.result.ImageSignature.Outcome)
	}
	if copied := j.result.SignatureAttachment; copied != nil && copied.Outcome != catalog.Skipped {
		line += fmt.Sprintf(", beside the image: %s", copied.Outcome)
		if copied.Reason != "" {
			line += ": " + copied.Reason
		}
	}
	if j.err != nil {
		line += ": " + message(j.err)
	}
	return line
}

// entries is a number of them for people.
func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
