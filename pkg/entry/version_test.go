package entry

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareVersions(t *testing.T) {
	want := []string{
		"0.9", "1", "1.0-alpha", "1.0-rc2", "1.0-rc10", "1.0~beta", "1.0", "1.0+3", "1.0+12", "1.0.1", "1.9", "v1.9", "1.9.1",
		"1.10-rc.1", "1.010", "1.10", "1.a", "9", "010", "10", "20260301", "20260301.2", "99999999999999999999999999", "stable", "v", "vnext",
	}
	for i, a := range want {
		for j, b := range want {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, CompareVersions)
	if diff := cmp.Diff(want, shuffled); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
