package trust

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// BenchmarkCheck is what each entry of a verified list costs.
func BenchmarkCheck(b *testing.B) {
	d, team := digest.FromString("revision"), testSigner(b)
	text := signed(b, team, Bundle, d).JSON()
	policy := byKeys(b, &Rule{Keys: []*PublicKey{team.PublicKey()}})
	rule := policy.For("", "")
	for b.Loop() {
		signature, _ := signature.Parse(text)
		if rule.Check(SubjectEntry, d, Evidence{Signatures: []Signature{signature}}).Result != entry.VerdictVerified {
			b.Fatal("not verified")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	d, team := digest.FromString("revision"), testSigner(b)
	text := signed(b, team, Bundle, d).JSON()
	for b.Loop() {
		signature, _ := signature.Parse(text)
		if _, err := signature.Open(d); err != nil {
			b.Fatal(err)
		}
	}
}
