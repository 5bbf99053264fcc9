package verdicts_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/verdicts"
	"github.com/oci-catalog/caib/pkg/trust"
)

func newRule(t *testing.T) trust.AppliedRule {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := trust.NewPolicy(nil, &trust.Rule{Keys: []*trust.PublicKey{signer.PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	return policy.For("registry.example.com/catalog", "autosd")
}

// Only what was verified is remembered, for the same rule of the same policy, and
// by other processes once it is saved.
func TestMemory(t *testing.T) {
	dir, rule, other := t.TempDir(), newRule(t), newRule(t)
	verified := trust.Check{Subject: trust.SubjectEntry, Result: entry.VerdictVerified, Digest: digest.FromString("verified")}
	refused := trust.Check{Subject: trust.SubjectEntry, Result: entry.VerdictUntrusted, Digest: digest.FromString("refused")}
	first := verdicts.NewMemory(dir)
	first.Remember(rule, verified)
	first.Remember(rule, refused)
	first.Remember(trust.AppliedRule{}, verified)
	first.Save()
	for name, memory := range map[string]*verdicts.Memory{"same process": first, "another": verdicts.NewMemory(dir)} {
		if got, ok := memory.Recall(rule, verified.Subject, verified.Digest); !ok || got.Result != entry.VerdictVerified {
			t.Errorf("%s: got %+v, %t, want what was verified", name, got, ok)
		}
		if got, ok := memory.Recall(rule, refused.Subject, refused.Digest); ok {
			t.Errorf("%s: got %+v, want nothing of what was refused", name, got)
		}
		if got, ok := memory.Recall(rule, trust.SubjectImage, verified.Digest); ok {
			t.Errorf("%s: got %+v of another subject, want nothing", name, got)
		}
		if got, ok := memory.Recall(other, verified.Subject, verified.Digest); ok {
			t.Errorf("%s: got %+v of another policy, want nothing", name, got)
		}
		if got, ok := memory.Recall(trust.AppliedRule{}, verified.Subject, verified.Digest); ok {
			t.Errorf("%s: got %+v of no rule, want nothing", name, got)
		}
	}
}
