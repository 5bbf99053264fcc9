package trust

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What the fields of an applied rule are changed to decides nothing, neither for
// it nor for the next one.
func TestFieldsOfAnAppliedRuleOnlyDescribe(t *testing.T) {
	d := digest.FromString("revision")
	team, stranger := testSigner(t), testSigner(t)
	policy := byKeys(t, &Rule{Name: "autosd", Require: []Subject{SubjectEntry, SubjectImage}, Keys: []*PublicKey{team.PublicKey()}, Origins: []string{"registry.example.com/a"}})
	lenient := byKeys(t, &Rule{Warn: true, Keys: []*PublicKey{stranger.PublicKey()}}).For("c", "autosd")
	rule := policy.For("c", "autosd")
	rule.Require[0], rule.Require[1], rule.Origins[0] = SubjectImage, SubjectImage, "**"
	rule.Name, rule.PolicyHash, rule.Warn, rule.Require, rule.Origins = lenient.Name, lenient.PolicyHash, true, nil, nil

	check := rule.Check(SubjectEntry, d, Evidence{Signatures: []Signature{signed(t, stranger, Bundle, d)}})
	if check.Result != entry.VerdictUntrusted {
		t.Errorf("a stranger's signature is %s, want %s", check.Result, entry.VerdictUntrusted)
	}
	if report := rule.Report(Check{Subject: SubjectEntry, Result: entry.VerdictVerified}); report.Warn || report.Verdict != entry.VerdictUnknown {
		t.Errorf("half of what is required is %s, warn %t, want %s", report.Verdict, report.Warn, entry.VerdictUnknown)
	}
	next := policy.For("c", "autosd")
	got := []any{next.Name, next.PolicyHash, next.Warn, next.Require, next.Origins}
	want := []any{"rule 1", policy.Hash(), false, []Subject{SubjectEntry, SubjectImage}, []string{"registry.example.com/a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the next rule (-want +got):\n%s", diff)
	}
}

// The rule that does not apply trusts nobody, made by a policy or not.
func TestNoRuleTrustsNobody(t *testing.T) {
	d, team := digest.FromString("revision"), testSigner(t)
	for name, rule := range map[string]AppliedRule{
		"of a policy":    byKeys(t, &Rule{Name: "other", Warn: true, Keys: []*PublicKey{team.PublicKey()}}).For("c", "autosd"),
		"the zero value": {},
		"named":          {Name: "rule 1", Warn: true},
	} {
		check := rule.Check(SubjectEntry, d, Evidence{Signatures: []Signature{signed(t, team, Bundle, d)}})
		report := rule.Report(check)
		if check.Result != entry.VerdictUntrusted || report.Verdict != entry.VerdictUntrusted || report.Warn {
			t.Errorf("%s: the check is %s, the report %s, warn %t, want %s twice", name, check.Result, report.Verdict, report.Warn, entry.VerdictUntrusted)
		}
	}
}
