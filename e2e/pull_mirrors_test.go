package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A distribution as the mirror of another one: one that is down, one that lacks the
// blob and one that lies cost a further question, and nothing else.
func TestPullFromMirrors(t *testing.T) {
	t.Parallel()
	w, origin := behind(t, "distribution-3.1", faultproxy.Faults{})
	pushDisk(t, w.on.image("disk")+":1", registry.Options{})
	w.ok("catalog", "publish", w.on.image("disk")+":1", "--name", "disk")
	dir := t.TempDir()
	w.ok("catalog", "pull", "disk", filepath.Join(dir, "want"))

	whole, lacking := registries.Distribution3(t, false), registries.Distribution3(t, false)
	pushDisk(t, whole.Host+"/copies/os/disk:1", registry.Options{})
	lying := faultproxy.New(t, whole.Host, faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/blobs/"), Do: faultproxy.Action{Alter: true}}}})
	const down = "127.0.0.1:1"
	gone := faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/os/disk/"), Do: faultproxy.Action{Status: 503}}}}
	origin.Requests() // those of what was pulled without mirrors
	for n, tt := range []struct {
		name    string
		mirrors []string
		away    bool // the origin's image
		from    string
		warns   string
	}{
		{"whole", []string{whole.Host}, true, whole.Host, ""},
		{"lacking", []string{lacking.Host, whole.Host}, true, whole.Host, ""},
		{"down", []string{down, whole.Host}, true, whole.Host, "mirror " + down},
		{"lying", []string{lying.Host, whole.Host}, true, whole.Host, lying.Host},
		{"all that is wrong", []string{down, lacking.Host, lying.Host}, false, origin.Host, lying.Host},
	} {
		conf := filepath.Join(dir, fmt.Sprint(n, ".conf"))
		text := fmt.Sprintf("[[registry]]\nlocation = %q\n", origin.Host)
		for _, mirror := range tt.mirrors {
			text += fmt.Sprintf("[[registry.mirror]]\nlocation = %q\n", mirror+"/copies")
		}
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.away {
			origin.Set(gone)
		} else {
			origin.Set(faultproxy.Faults{})
		}
		mirrored := *w
		mirrored.env = append(append([]string{}, w.env...), "CONTAINERS_REGISTRIES_CONF="+conf)
		dest := filepath.Join(dir, fmt.Sprint(n))
		result := mirrored.ok("catalog", "pull", "disk", dest, "-o", "json")
		var pulled catalog.PullResult
		if err := json.Unmarshal([]byte(result.Stdout), &pulled); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(pulled.Files[0].Place, tt.from+"/") || !strings.Contains(result.Stderr, tt.warns) || tt.warns == "" && result.Stderr != "" {
			t.Errorf("%s: from %s, said %q; want it from %s", tt.name, pulled.Files[0].Place, result.Stderr, tt.from)
		}
		same(t, dest, filepath.Join(dir, "want"))
	}
	if text := strings.Join(origin.Requests(), "\n"); strings.Count(text, "/os/disk/blobs/") == 0 {
		t.Errorf("the origin was never asked for a blob:\n%s", text)
	}
}
