package page

import (
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// line is a command to copy.
type line struct{ What, Command string }

// Lines returns the commands that an image can be had by. What is a stranger's word in
// them is one word of a shell.
func (v *entryView) Lines() []line {
	item := &v.Item
	version := ""
	if v.Past && item.Version != "" {
		version = " --version " + quote(item.Version)
	}
	catalog := quote(v.Catalog)
	all := []line{}
	pinned := entry.Pinned(item.RegistryURL, item.Digest)
	if item.Location != "" {
		pinned = item.Location
	}
	switch {
	case strings.HasPrefix(pinned, "oci:"):
		all = append(all, line{"Download the files", "caib catalog pull " + quote(item.Name) + version + " --catalog " + catalog})
	case item.Bootc && item.ExportFormat == "":
		all = append(all,
			line{"Switch a running machine to it", "bootc switch " + quote(pinned)},
			line{"Pull the container", "podman pull " + quote(pinned)})
	default:
		all = append(all,
			line{"Download the files, checked", "caib catalog pull " + quote(item.Name) + version + " --catalog " + catalog},
			line{"Copy the artifact", "oras pull " + quote(pinned)})
	}
	return append(all, line{"Show everything the catalog knows", "caib catalog get " + quote(item.Name) + version + " --catalog " + catalog})
}

// quote makes a text one word of a shell.
func quote(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-/:@+=,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
