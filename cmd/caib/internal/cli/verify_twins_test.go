package cli

import (
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// Anybody who can push may have written the reference of an entry: nothing of it is a
// command by itself.
func TestTwinsPasteNoCommandOfOthers(t *testing.T) {
	for image, want := range map[string]string{
		"r.example.com/a:1":        "`caib catalog publish r.example.com/a:1 --name b --move`",
		"oci:/srv/a b;reboot:1":    "`caib catalog publish 'oci:/srv/a b;reboot:1' --name b --move`",
		"r.example.com/a;reboot:1": "",
		"--policy=/tmp/a":          "",
		"-x.example.com/a:1":       "",
	} {
		found := twins([]catalog.Head{{Name: "b", Twin: "a", Image: image}})
		if len(found) != 1 {
			t.Fatalf("%s: %d errors, want one", image, len(found))
		}
		got := hint(found[0])
		if !strings.HasPrefix(got, "end one of them: `caib catalog remove b`") || !strings.Contains(got, want) || want == "" && strings.Contains(got, "publish") {
			t.Errorf("%s: the hint is %s, want one with %q", image, got, want)
		}
	}
}
