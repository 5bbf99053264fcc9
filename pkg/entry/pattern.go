package entry

import "strings"

// MatchPattern reports whether a pattern matches a whole text. In a pattern, *
// stands for any characters but a slash, ** for any at all, and everything else
// for itself; the empty pattern matches every text.
func MatchPattern(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	// starts[i]: whether what was read of the pattern matches text[:i].
	starts := make([]bool, len(text)+1)
	starts[0] = true
	for len(pattern) > 0 {
		next := make([]bool, len(text)+1)
		switch {
		case strings.HasPrefix(pattern, "*"):
			rest := strings.TrimLeft(pattern, "*")
			slash := len(pattern)-len(rest) > 1
			pattern = rest
			reached := false
			for i := range next {
				reached = starts[i] || (reached && (slash || text[i-1] != '/'))
				next[i] = reached
			}
		default:
			for i := range text {
				next[i+1] = starts[i] && text[i] == pattern[0]
			}
			pattern = pattern[1:]
		}
		starts = next
	}
	return starts[len(text)]
}
