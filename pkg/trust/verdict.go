package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Verdict is the domain's.
type Verdict = entry.Verdict

// The verdicts.
const (
	Verified  = entry.VerdictVerified
	Unsigned  = entry.VerdictUnsigned
	Untrusted = entry.VerdictUntrusted
	Invalid   = entry.VerdictInvalid
	Unknown   = entry.VerdictUnknown
)

// Subjects of checks.
const (
	Entry = "entry" // the revision in the catalog's repository
	Image = "image" // the image in its own
	// Latest is that no later revision was taken away. Like Origin it is no
	// subject that is signed: it can spoil a report, and never make one.
	Latest = "latest"
	// Origin is that it was published in a catalog that the rule names.
	Origin = "origin"
)

// Check is what was found out about the signatures of one digest.
type Check struct {
	What   string        `json:"what"` // Entry or Image
	Result Verdict       `json:"result"`
	Digest digest.Digest `json:"digest"`
	Signer string        `json:"signer,omitempty"` // who signed, as the policy names them
	Format Format        `json:"format,omitempty"`
	Time   *entry.Time   `json:"time,omitempty"` // when, where a trusted service says so
	Reason string        `json:"reason,omitempty"`
	// Signers are those of Signer one by one, as far as they were looked for.
	Signers []entry.Signer `json:"signers,omitempty"`
}

// Report is the verdict on an entry under a rule.
type Report struct {
	Verdict Verdict `json:"verdict"`
	Rule    string  `json:"rule,omitempty"` // the rule that applied, as policies name it
	Warn    bool    `json:"warn,omitempty"` // the rule reports, and refuses nothing
	Checks  []Check `json:"checks"`
}

// severity orders verdicts: what is worse decides. An answer that nobody could
// give weighs more than what the others said.
var severity = []Verdict{Verified, Unsigned, Untrusted, Invalid, Unknown}

// Compose makes the verdict of an entry from the checks that a rule requires.
// A check that is missing, or one too many, makes it unknown: nothing is
// verified by not having been looked at.
func Compose(rule *Rule, checks ...Check) Report {
	report := Report{Verdict: Unknown, Rule: rule.String(), Warn: rule.Warn(), Checks: checks}
	var done []string
	worst := 0
	for _, check := range checks {
		done = append(done, check.What)
		level := slices.Index(severity, check.Result)
		if level < 0 {
			level = len(severity) - 1
		}
		worst = max(worst, level)
	}
	if len(done) > 0 && slices.Equal(done, rule.Subjects()) {
		report.Verdict = severity[worst]
	}
	return report
}

// Spoil adds a check that a rule does not require, and that makes the verdict
// worse if it is worse. It never makes one better.
func (r Report) Spoil(check Check) Report {
	r.Checks = append(r.Checks[:len(r.Checks):len(r.Checks)], check)
	level := slices.Index(severity, check.Result)
	if level < 0 {
		level = len(severity) - 1
	}
	r.Verdict = severity[max(level, slices.Index(severity, r.Verdict))]
	return r
}

// Err returns nil for what may be used: an entry that is verified, or one
// whose rule only warns. Else it is an *Error about what, the revision with
// the given digest.
func (r Report) Err(what string, revision digest.Digest) error {
	if r.Verdict == Verified || r.Warn {
		return nil
	}
	refused := &Error{What: what, Digest: revision, Verdict: r.Verdict, Reason: r.Reason()}
	for _, check := range r.Checks {
		if check.Result == r.Verdict {
			refused.Check = check.What
		}
	}
	return refused
}

// Signers are those whom the rule names and who have signed, as far as they were
// looked for.
func (r Report) Signers() (all []entry.Signer) {
	for _, check := range r.Checks {
		all = append(all, check.Signers...)
	}
	return all
}

// Reason explains a verdict in one line: that of the check that decided it.
func (r Report) Reason() string {
	var all []string
	for _, check := range r.Checks {
		if check.Result == r.Verdict && check.Reason != "" {
			all = append(all, check.What+": "+check.Reason)
		}
	}
	if len(all) == 0 && r.Verdict == Unknown {
		return "what the rule requires was not checked"
	}
	return strings.Join(all, "; ")
}

// Error says that something may not be used, or that nobody can tell. It is an
// entry.ErrUntrusted, and for Unknown an entry.ErrUnreachable instead.
type Error struct {
	What    string
	Digest  digest.Digest
	Verdict Verdict
	Check   string // the check that decided it: Entry, Image, Latest, Origin
	Reason  string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s is %s", e.What, e.Verdict)
	if e.Verdict == Unknown {
		text = "the signatures of " + e.What + " could not be checked"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is gives the error its kind.
func (e *Error) Is(target error) bool {
	if e.Verdict == Unknown {
		return target == entry.ErrUnreachable
	}
	return target == entry.ErrUntrusted
}
