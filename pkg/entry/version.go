package entry

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions as people read them: numbers by value, so that
// 1.9 is before 1.10; what follows "-" or "~" is a pre-release, and before the
// version itself; what follows "+" is behind it. A "v" before a number counts for
// nothing. It is for display: which publication of a name is the latest is
// decided by time. Only equal texts are equal.
func CompareVersions(a, b string) int {
	coreA, preA, buildA := splitVersion(a)
	coreB, preB, buildB := splitVersion(b)
	return cmp.Or(
		compareNatural(coreA, coreB),
		-cmp.Compare(min(len(preA), 1), min(len(preB), 1)), // any pre-release is before none
		compareNatural(preA, preB),
		compareNatural(buildA, buildB),
		strings.Compare(a, b),
	)
}

func splitVersion(text string) (core, pre, build string) {
	if len(text) > 1 && (text[0] == 'v' || text[0] == 'V') && isDigit(text[1]) {
		text = text[1:]
	}
	core, build, _ = strings.Cut(text, "+")
	if i := strings.IndexAny(core, "-~"); i >= 0 {
		core, pre = core[:i], core[i:]
	}
	return core, pre, build
}

// compareNatural compares texts byte by byte, and each run of digits as the
// number that it is.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		if isDigit(a[0]) && isDigit(b[0]) {
			var numberA, numberB string
			numberA, a = cutNumber(a)
			numberB, b = cutNumber(b)
			if order := cmp.Or(cmp.Compare(len(numberA), len(numberB)), strings.Compare(numberA, numberB)); order != 0 {
				return order
			}
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// cutNumber cuts the digits off the beginning of a text, without leading zeros.
func cutNumber(text string) (number, rest string) {
	rest = strings.TrimLeft(text, "0123456789")
	return strings.TrimLeft(text[:len(text)-len(rest)], "0"), rest
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
