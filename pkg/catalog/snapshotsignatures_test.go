package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What strangers put beside entries is not held in memory until all entries are
// evaluated.
func TestKeepsFewSignatures(t *testing.T) {
	made, ok := signature.Parse([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"` + strings.Repeat("x", 1<<19) + `"}`))
	if !ok {
		t.Fatal("no signature")
	}
	e := &evaluator{Catalog: &Catalog{}, policy: &trust.Policy{}, found: map[revision.Tag][][]byte{}}
	kept := func() (sum int) {
		for _, texts := range e.found {
			for _, text := range texts {
				sum += len(text)
			}
		}
		return sum
	}
	fill := func(verdict entry.Verdict) {
		for n := range 200 {
			e.retain(revision.Tag{Name: fmt.Sprintf("%s-%d", verdict, n)}, trust.Check{Result: verdict}, []signature.Signature{made})
		}
	}
	for _, verdict := range []entry.Verdict{entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictUnknown} {
		if fill(verdict); kept() > 0 {
			t.Errorf("%d bytes are kept of what is %s", kept(), verdict)
		}
	}
	if fill(entry.VerdictVerified); kept() == 0 || kept() > maxFound {
		t.Errorf("%d bytes are kept of what is verified, want some, and no more than %d", kept(), maxFound)
	}
}
