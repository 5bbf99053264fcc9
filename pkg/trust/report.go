package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Subject is what a check is about.
type Subject string

// The subjects. The last two are not signed: they can make a verdict worse, and
// never better.
const (
	SubjectEntry  Subject = "entry"  // the revision, in the catalog's repository
	SubjectImage  Subject = "image"  // the image, in its own
	SubjectLatest Subject = "latest" // that no later revision was taken away
	SubjectOrigin Subject = "origin" // that it was published in a catalog that the rule names
)

// Check is what was found out about the signatures of one digest.
type Check struct {
	Subject Subject       `json:"what"`
	Result  entry.Verdict `json:"result"`
	Digest  digest.Digest `json:"digest"`
	Signer  string        `json:"signer,omitempty"` // who signed, as the policy names them
	Format  Format        `json:"format,omitempty"`
	Time    *entry.Time   `json:"time,omitempty"` // when, where a trusted service says so
	Reason  string        `json:"reason,omitempty"`
	// Signers are those of Signer one by one, as far as they were looked for.
	Signers []entry.Signer `json:"signers,omitempty"`
}

// Report is the verdict on an entry under a rule.
type Report struct {
	Verdict entry.Verdict `json:"verdict"`
	Reason  string        `json:"reason,omitempty"` // in one line: those of the checks that decided
	Rule    string        `json:"rule,omitempty"`   // the rule that applied, as policies name it
	Warn    bool          `json:"warn,omitempty"`   // the rule reports, and refuses nothing
	Checks  []Check       `json:"checks"`
}

// severity orders verdicts: what is worse decides. An answer that nobody could
// give weighs more than what the others said.
var severity = []entry.Verdict{entry.VerdictVerified, entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictUnknown}

func (c Check) severity() int {
	if level := slices.Index(severity, c.Result); level >= 0 {
		return level
	}
	return len(severity) - 1
}

// Report makes the verdict of an entry from checks of what the rule requires to be
// signed, and of what makes a verdict worse. A required check that is missing, or
// one too many, makes it unknown: nothing is verified by not having been checked. Only
// after one that refuses may the others be left out.
func (a AppliedRule) Report(checks ...Check) Report {
	report := Report{Verdict: entry.VerdictUnknown, Checks: checks}
	if a.rule != nil {
		report.Rule, report.Warn = a.rule.where, a.rule.Warn
	}
	var signed []Subject
	worst := 0
	for _, check := range checks {
		if check.Subject != SubjectLatest && check.Subject != SubjectOrigin {
			signed = append(signed, check.Subject)
		}
		worst = max(worst, check.severity())
	}
	wanted := a.rule.subjects()
	refused := worst > 0 && len(signed) > 0 && len(signed) < len(wanted)
	if slices.Equal(signed, wanted) || refused && slices.Equal(signed, wanted[:len(signed)]) {
		report.Verdict = severity[worst]
	}
	report.Reason = report.reason()
	return report
}

func (r Report) reason() string {
	var all []string
	for _, check := range r.Checks {
		if check.Result == r.Verdict && check.Reason != "" {
			all = append(all, string(check.Subject)+": "+check.Reason)
		}
	}
	if len(all) == 0 && r.Verdict == entry.VerdictUnknown {
		return "what the rule requires was not checked"
	}
	return strings.Join(all, "; ")
}

// Err returns nil for what may be used: an entry that is verified, or one
// whose rule only warns. Else it is an *Error about what, the revision with
// the given digest.
func (r Report) Err(what string, revision digest.Digest) error {
	if r.Verdict == entry.VerdictVerified || r.Warn {
		return nil
	}
	refused := &Error{What: what, Digest: revision, Verdict: r.Verdict, Reason: r.Reason}
	for _, check := range r.Checks {
		if check.Result == r.Verdict {
			refused.Subject = check.Subject
		}
	}
	return refused
}

// Error says that something may not be used, or that nobody can tell. It is an
// entry.ErrUntrusted, and for what is unknown an entry.ErrUnreachable instead.
type Error struct {
	What    string
	Digest  digest.Digest
	Verdict entry.Verdict
	Subject Subject // that decided it
	Reason  string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s is %s", e.What, e.Verdict)
	if e.Verdict == entry.VerdictUnknown {
		text = "the signatures of " + e.What + " could not be checked"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is gives the error its kind.
func (e *Error) Is(target error) bool {
	if e.Verdict == entry.VerdictUnknown {
		return target == entry.ErrUnreachable
	}
	return target == entry.ErrUntrusted
}
