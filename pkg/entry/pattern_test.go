package entry_test

import (
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

func TestMatchPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything/at/all", true}, {"**", "anything/at/all", true}, {"*", "a/b", false}, {"*", "a", true}, {"*", "", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "ab/c", false}, {"a**c", "ab/c", true}, {"a***c", "a/b/c", true},
		{"a", "ab", false}, {"b", "ab", false}, {"a.c", "abc", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false},
		{"r/*/x", "r/a/x", true}, {"r/*/x", "r/a/b/x", false}, {"r/**/x", "r/a/b/x", true},
	} {
		if got := entry.MatchPattern(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %t, want %t", test.pattern, test.text, got, test.want)
		}
	}
}
