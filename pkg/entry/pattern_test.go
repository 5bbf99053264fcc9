package entry_test

import (
	"strings"
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

// matchSlowly is MatchPattern by its definition: every length of every star.
func matchSlowly(pattern, text string) bool {
	rest := strings.TrimLeft(pattern, "*")
	stars := len(pattern) - len(rest)
	switch {
	case pattern == "":
		return text == ""
	case stars == 0:
		return text != "" && pattern[0] == text[0] && matchSlowly(pattern[1:], text[1:])
	}
	for n := 0; n <= len(text); n++ {
		if matchSlowly(rest, text[n:]) {
			return true
		}
		if n < len(text) && stars == 1 && text[n] == '/' {
			return false
		}
	}
	return false
}

func TestMatchPatternByDefinition(t *testing.T) {
	words := func(alphabet string, longest int) []string {
		all := []string{""}
		for from := 0; longest > 0; longest-- {
			to := len(all)
			for _, word := range all[from:to] {
				for _, letter := range alphabet {
					all = append(all, word+string(letter))
				}
			}
			from = to
		}
		return all
	}
	texts := words("ab/", 5)
	for _, pattern := range words("ab/*", 5)[1:] {
		for _, text := range texts {
			if got, want := entry.MatchPattern(pattern, text), matchSlowly(pattern, text); got != want {
				t.Fatalf("%q matches %q: %t, want %t", pattern, text, got, want)
			}
		}
	}
}
