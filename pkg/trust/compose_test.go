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

var verdicts = []Verdict{Verified, Unsigned, Untrusted, Invalid, Unknown}

// Every combination of what is required and what was checked: an entry may be
// used if, and only if, everything required was checked and verified, or its
// rule only warns.
func TestNothingUncheckedIsSuccess(t *testing.T) {
	requires := map[Require][]string{"": {Entry}, RequireEntry: {Entry}, RequireImage: {Image}, RequireBoth: {Entry, Image}}
	var checks [][]Check
	for _, what := range []string{Entry, Image} {
		for _, v := range append(verdicts, "", "other") {
			checks = append(checks, []Check{{What: what, Result: v}})
			for _, w := range append(verdicts, "") {
				checks = append(checks, []Check{{What: what, Result: v}, {What: Image, Result: w}})
			}
		}
	}
	checks = append(checks, nil, []Check{{}}, []Check{{Result: Verified}})
	for require, subjects := range requires {
		for _, mode := range []Mode{"", Enforce, Warn} {
			for _, done := range checks {
				all := len(done) == len(subjects)
				for i, check := range done {
					all = all && check.Result == Verified && check.What == subjects[i]
				}
				report := Compose(&Rule{Require: require, Mode: mode}, done...)
				name := fmt.Sprintf("require %q, mode %q, checks %+v", require, mode, done)
				if verified := report.Verdict == Verified; verified != all {
					t.Errorf("%s: %s", name, report.Verdict)
				}
				if usable := report.Err("x", "") == nil; usable != (all || mode == Warn) {
					t.Errorf("%s: usable %t", name, usable)
				}
			}
		}
	}
	if report := Compose(nil); report.Verdict != Unknown || report.Err("x", "") == nil {
		t.Errorf("no rule, no check: %+v", report)
	}
}

// Unknown weighs more than all else, and is a failure to ask.
func TestErrorKinds(t *testing.T) {
	for _, v := range verdicts {
		err := Compose(&Rule{}, Check{What: Entry, Result: v}).Err("entry a", digest.FromString("a"))
		var typed *Error
		switch {
		case v == Verified && err != nil:
			t.Errorf("%s: %v", v, err)
		case v == Verified:
		case !errors.As(err, &typed) || typed.Verdict != v || typed.Digest != digest.FromString("a"):
			t.Errorf("%s: %v", v, err)
		case errors.Is(err, entry.ErrUnreachable) != (v == Unknown), errors.Is(err, entry.ErrUntrusted) != (v != Unknown):
			t.Errorf("%s: %v has another kind", v, err)
		}
	}
	both := Compose(&Rule{Require: RequireBoth}, Check{What: Entry, Result: Invalid}, Check{What: Image, Result: Unknown})
	if both.Verdict != Unknown {
		t.Errorf("invalid and unknown: %s", both.Verdict)
	}
}

// Evidence that is incomplete is never taken for "no signature", and does not
// spoil what is proved.
func TestIncompleteEvidence(t *testing.T) {
	d, team := digest.FromString("revision"), testSigner(t)
	policy := byKeys(t, &Rule{Keys: []*PublicKey{team.PublicKey()}})
	rule := policy.Rule("", "")
	failed := errors.New("429")
	many := make([]Signature, signature.MaxSignatures+1)
	for i := range many {
		many[i] = signed(t, testSigner(t), Legacy, d)
	}
	for _, test := range []struct {
		name     string
		evidence Evidence
		want     Verdict
	}{
		{"nothing found", Evidence{Err: failed}, Unknown},
		{"a stranger's found", Evidence{Signatures: []Signature{many[0]}, Err: failed}, Unknown},
		{"the right one found", Evidence{Signatures: []Signature{signed(t, team, Bundle, d)}, Err: failed}, Verified},
		{"too many", Evidence{Signatures: many}, Unknown},
		{"the right one after too many", Evidence{Signatures: append(many[:signature.MaxSignatures:signature.MaxSignatures], signed(t, team, Bundle, d))}, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			if check := policy.Check(rule, Entry, d, test.evidence); check.Result != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
		})
	}
	if check := policy.Check(nil, Entry, d, Evidence{Signatures: []Signature{signed(t, team, Bundle, d)}}); check.Result != Untrusted {
		t.Errorf("without a rule: %+v", check)
	}
	if check := policy.Check(rule, Entry, "", Evidence{}); check.Result != Unknown {
		t.Errorf("without a digest: %+v", check)
	}
}

// The word Verified is assigned in one place of this package: there is one path
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
			case *ast.BinaryExpr, *ast.ValueSpec:
				return false // comparisons, and the constant itself
			case *ast.CompositeLit:
				if list, ok := n.Type.(*ast.ArrayType); ok && fmt.Sprint(list.Elt) == "Verdict" {
					return false // the order of verdicts
				}
			case *ast.Ident:
				if n.Name == "Verified" {
					assigned = append(assigned, set.Position(n.Pos()).String())
				}
			}
			return true
		})
	}
	if len(assigned) != 1 || !strings.HasPrefix(assigned[0], "check.go:") {
		t.Errorf("Verified is given in %v, want one place in check.go", assigned)
	}
}
