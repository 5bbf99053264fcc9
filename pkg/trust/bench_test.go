package trust

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

// BenchmarkCheck is what each entry of a verified list costs.
func BenchmarkCheck(b *testing.B) {
	d, team := digest.FromString("revision"), testSigner(b)
	text := signed(b, team, Bundle, d).JSON()
	policy := byKeys(b, &Rule{Keys: []*PublicKey{team.PublicKey()}})
	rule := policy.Rule("", "")
	for b.Loop() {
		signature, _ := ParseSignature(text)
		if policy.Check(rule, Entry, d, Evidence{Signatures: []Signature{signature}}).Result != Verified {
			b.Fatal("not verified")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	d, team := digest.FromString("revision"), testSigner(b)
	text := signed(b, team, Bundle, d).JSON()
	for b.Loop() {
		signature, _ := ParseSignature(text)
		if _, err := signature.open(d); err != nil {
			b.Fatal(err)
		}
	}
}
