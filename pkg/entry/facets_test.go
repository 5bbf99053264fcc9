package entry

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of many values, those that most entries have are left, and of equals the first in
// text order.
func TestFacetsAreCut(t *testing.T) {
	counts, want := map[string]int{}, map[string]int{}
	for n := range 20 * maxFacet {
		counts[fmt.Sprintf("rare%05d", n)] = 1 + n%2
	}
	counts["common"], want["common"] = 7, 7
	for n := range maxFacet - 1 {
		want[fmt.Sprintf("rare%05d", 2*n+1)] = 2
	}
	cutFacet(counts)
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}
