package trust

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

var verdicts = []entry.Verdict{entry.VerdictVerified, entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictUnknown}

func applied(rule *Rule) AppliedRule { return (&Policy{}).apply(rule) }

// Every combination of what is required and what was checked: an entry may be
// used if, and only if, everything required was checked and verified, or its
// rule only warns.
func TestNothingUncheckedIsSuccess(t *testing.T) {
	requires := map[string][]Subject{"": {SubjectEntry}, "entry": {SubjectEntry}, "image": {SubjectImage}, "both": {SubjectEntry, SubjectImage}}
	var checks [][]Check
	for _, what := range []Subject{SubjectEntry, SubjectImage} {
		for _, v := range append(verdicts, "", "other") {
			checks = append(checks, []Check{{Subject: what, Result: v}})
			for _, w := range append(verdicts, "") {
				checks = append(checks, []Check{{Subject: what, Result: v}, {Subject: SubjectImage, Result: w}})
			}
		}
	}
	checks = append(checks, nil, []Check{{}}, []Check{{Result: entry.VerdictVerified}})
	for require, subjects := range requires {
		for _, warn := range []bool{false, true} {
			for _, done := range checks {
				all := len(done) == len(subjects)
				for i, check := range done {
					all = all && check.Result == entry.VerdictVerified && check.Subject == subjects[i]
				}
				report := applied(&Rule{Require: requirements[require], Warn: warn}).Report(done...)
				name := fmt.Sprintf("require %q, warn %t, checks %+v", require, warn, done)
				if verified := report.Verdict == entry.VerdictVerified; verified != all {
					t.Errorf("%s: %s", name, report.Verdict)
				}
				if usable := report.Err("x", "") == nil; usable != (all || warn) {
					t.Errorf("%s: usable %t", name, usable)
				}
			}
		}
	}
	both := applied(&Rule{Require: requirements["both"]})
	for _, v := range verdicts { // of the entry; nobody asked about the image
		want := v
		if v == entry.VerdictVerified {
			want = entry.VerdictUnknown
		}
		if got := both.Report(Check{Subject: SubjectEntry, Result: v}).Verdict; got != want {
			t.Errorf("an entry that is %s, and its image was not checked: %s, want %s", v, got, want)
		}
	}
	if report := applied(nil).Report(); report.Verdict != entry.VerdictUnknown || report.Err("x", "") == nil {
		t.Errorf("no rule, no check: %+v", report)
	}
}

// Unknown weighs more than all else, and is a failure to ask.
func TestErrorKinds(t *testing.T) {
	for _, v := range verdicts {
		err := applied(&Rule{}).Report(Check{Subject: SubjectEntry, Result: v}).Err("entry a", digest.FromString("a"))
		var typed *Error
		switch {
		case v == entry.VerdictVerified && err != nil:
			t.Errorf("%s: %v", v, err)
		case v == entry.VerdictVerified:
		case !errors.As(err, &typed) || typed.Verdict != v || typed.Digest != digest.FromString("a"):
			t.Errorf("%s: %v", v, err)
		case errors.Is(err, entry.ErrUnreachable) != (v == entry.VerdictUnknown), errors.Is(err, entry.ErrUntrusted) != (v != entry.VerdictUnknown):
			t.Errorf("%s: %v has another kind", v, err)
		}
	}
	both := applied(&Rule{Require: []Subject{SubjectEntry, SubjectImage}}).Report(Check{Subject: SubjectEntry, Result: entry.VerdictInvalid}, Check{Subject: SubjectImage, Result: entry.VerdictUnknown})
	if both.Verdict != entry.VerdictUnknown {
		t.Errorf("invalid and unknown: %s", both.Verdict)
	}
}

// Evidence that is incomplete is never taken for "no signature", and does not
// spoil what is proved.
func TestIncompleteEvidence(t *testing.T) {
	d, team := digest.FromString("revision"), testSigner(t)
	policy := byKeys(t, &Rule{Keys: []*PublicKey{team.PublicKey()}})
	rule := policy.For("", "")
	failed := errors.New("429")
	many := make([]Signature, signature.MaxSignatures+1)
	for i := range many {
		many[i] = signed(t, testSigner(t), Legacy, d)
	}
	for _, test := range []struct {
		name     string
		evidence Evidence
		want     entry.Verdict
	}{
		{"nothing found", Evidence{Err: failed}, entry.VerdictUnknown},
		{"a stranger's found", Evidence{Signatures: []Signature{many[0]}, Err: failed}, entry.VerdictUnknown},
		{"the right one found", Evidence{Signatures: []Signature{signed(t, team, Bundle, d)}, Err: failed}, entry.VerdictVerified},
		{"too many", Evidence{Signatures: many}, entry.VerdictUnknown},
		{"the right one after too many", Evidence{Signatures: append(many[:signature.MaxSignatures:signature.MaxSignatures], signed(t, team, Bundle, d))}, entry.VerdictUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			if check := rule.Check(SubjectEntry, d, test.evidence); check.Result != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
		})
	}
	if check := applied(nil).Check(SubjectEntry, d, Evidence{Signatures: []Signature{signed(t, team, Bundle, d)}}); check.Result != entry.VerdictUntrusted {
		t.Errorf("without a rule: %+v", check)
	}
	if check := rule.Check(SubjectEntry, "", Evidence{}); check.Result != entry.VerdictUnknown {
		t.Errorf("without a digest: %+v", check)
	}
}

// VerdictVerified is given in one place of this package: there is one path
// to success.
func TestOnePathToSuccess(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var assigned []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.BinaryExpr:
				return false // comparisons
			case *ast.ValueSpec:
				return n.Names[0].Name != "severity" // the order of verdicts
			case *ast.BasicLit:
				if n.Value == `"verified"` {
					assigned = append(assigned, set.Position(n.Pos()).String())
				}
			case *ast.Ident:
				if n.Name == "VerdictVerified" {
					assigned = append(assigned, set.Position(n.Pos()).String())
				}
			}
			return true
		})
	}
	if len(assigned) != 1 || !strings.HasPrefix(assigned[0], "check.go:") {
		t.Errorf("verified is said in %v, want one place in check.go", assigned)
	}
}

// What is not signed makes a verdict worse, never better, and takes the place of
// nothing that must be signed.
func TestUnsignedSubjectsOnlyWorsen(t *testing.T) {
	rule := applied(&Rule{})
	for _, subject := range []Subject{SubjectLatest, SubjectOrigin} {
		if got := rule.Report(Check{Subject: subject, Result: entry.VerdictVerified}).Verdict; got != entry.VerdictUnknown {
			t.Errorf("%s alone: got %s, want unknown", subject, got)
		}
		for i, of := range severity {
			for j, other := range severity {
				want := severity[max(i, j)]
				if got := rule.Report(Check{Subject: SubjectEntry, Result: of}, Check{Subject: subject, Result: other}).Verdict; got != want {
					t.Errorf("entry %s, %s %s: got %s, want %s", of, subject, other, got, want)
				}
			}
		}
	}
}
