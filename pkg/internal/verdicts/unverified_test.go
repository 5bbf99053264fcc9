package verdicts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/verdicts"
	"github.com/oci-catalog/caib/pkg/trust"
)

// That a revision was not verified is remembered for a few minutes, by other processes
// too; what is verified or unknown is not remembered as that, and neither under another
// policy.
func TestUnverifiedIsRememberedForAWhile(t *testing.T) {
	dir, rule, other, now := t.TempDir(), newRule(t), newRule(t), time.Now()
	report := func(verdict entry.Verdict) trust.Report {
		return trust.Report{Verdict: verdict, Reason: "for a reason", Checks: []trust.Check{{Subject: trust.SubjectEntry, Result: verdict}}}
	}
	first := verdicts.NewMemory(dir)
	all := []entry.Verdict{entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictVerified, entry.VerdictUnknown}
	for _, verdict := range all {
		first.RememberUnverified(rule, digest.FromString(string(verdict)), report(verdict), now)
	}
	first.RememberUnverified(trust.AppliedRule{}, digest.FromString("no rule"), report(entry.VerdictUnsigned), now)
	first.Save()
	for name, memory := range map[string]*verdicts.Memory{"this process": first, "another process": verdicts.NewMemory(dir)} {
		for _, verdict := range all {
			d := digest.FromString(string(verdict))
			want := verdict != entry.VerdictVerified && verdict != entry.VerdictUnknown
			got, ok := memory.RecallUnverified(rule, d, now.Add(time.Minute))
			if ok != want || ok && (got.Verdict != verdict || !strings.HasPrefix(got.Reason, "for a reason (looked up at 20") || len(got.Checks) != 1) {
				t.Errorf("%s: %s is recalled: %t, as %+v; want %t", name, verdict, ok, got, want)
			}
			for _, later := range []time.Duration{10 * time.Minute, -time.Second} {
				if _, ok := memory.RecallUnverified(rule, d, now.Add(later)); ok {
					t.Errorf("%s: %s is recalled %s later", name, verdict, later)
				}
			}
			if _, ok := memory.RecallUnverified(other, d, now); ok {
				t.Errorf("%s: %s is recalled under another policy", name, verdict)
			}
		}
	}
	if _, ok := (*verdicts.Memory)(nil).RecallUnverified(rule, digest.FromString("unsigned"), now); ok {
		t.Error("the nil memory remembers")
	}
}

// However many there are, those of now find room once the others have run out.
func TestUnverifiedIsBounded(t *testing.T) {
	memory, rule, now := verdicts.NewMemory(t.TempDir()), newRule(t), time.Now()
	remember := func(name string, now time.Time) bool {
		d := digest.FromString(name)
		memory.RememberUnverified(rule, d, trust.Report{Verdict: entry.VerdictUnsigned}, now)
		_, ok := memory.RecallUnverified(rule, d, now)
		return ok
	}
	for i := range 4096 {
		remember(fmt.Sprint(i), now)
	}
	if remember("one more", now) {
		t.Error("more than 4096 are remembered")
	}
	if !remember("one later", now.Add(11*time.Minute)) {
		t.Error("those that have run out take the room of later ones")
	}
}
