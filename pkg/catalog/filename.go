package catalog

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oci-catalog/caib/pkg/internal/place"
)

// devices are names that Windows has for devices, in every directory and with any
// suffix.
var devices = strings.Fields("con prn aux nul conin$ conout$" +
	" com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 com¹ com² com³" +
	" lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9 lpt¹ lpt² lpt³")

// unsafeName says why a name that a stranger wrote is none for a file in a directory
// of the user's; "" is that it is one. It is the same on every system, so that a
// catalog that one can read all can.
func unsafeName(name string) string {
	stem, _, _ := strings.Cut(name, ".")
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return "it is empty"
	case len(name) > 200:
		return "it is longer than 200 bytes"
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "it leads to another directory"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "it has characters that cannot be printed"
	case strings.ContainsAny(name, `<>:"|?*`):
		return `it has one of the characters < > : " | ? *`
	case name[0] == '.':
		return "it is hidden"
	case name[0] == '-':
		return "it begins like an option"
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " ") || strings.HasSuffix(name, "."):
		return "it begins or ends with what some systems drop"
	case slices.Contains(devices, strings.ToLower(strings.TrimSpace(stem))):
		return "some systems have a device of that name"
	case strings.HasSuffix(lower, place.Suffix) || strings.Contains(lower, place.Suffix+"."):
		return "files that are not whole are called so"
	}
	return ""
}
