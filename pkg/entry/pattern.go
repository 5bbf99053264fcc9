package entry

// MatchPattern reports whether a pattern matches a whole text. In a pattern, *
// stands for any characters but a slash, ** for any at all, and everything else
// for itself; the empty pattern matches every text.
func MatchPattern(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	// Where to go on when characters differ: the last * takes one more, or else
	// the last ** does. What is before the last ** need not be tried again.
	const none = -1
	oneFrom, oneAt, anyFrom, anyAt := none, 0, none, 0
	p, t := 0, 0
	for {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			stars := p
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p-stars > 1 {
				anyFrom, anyAt, oneFrom = p, t, none
			} else {
				oneFrom, oneAt = p, t
			}
		case p < len(pattern) && t < len(text) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case p == len(pattern) && t == len(text):
			return true
		case oneFrom != none && oneAt < len(text) && text[oneAt] != '/':
			oneAt++
			p, t = oneFrom, oneAt
		case anyFrom != none && anyAt < len(text):
			anyAt++
			p, t, oneFrom = anyFrom, anyAt, none
		default:
			return false
		}
	}
}
