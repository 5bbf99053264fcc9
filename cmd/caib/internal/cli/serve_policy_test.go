package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
)

// policyFixture is a catalog of the entries team and other, each signed with a key
// of its name, and the directory of the keys.
type policyFixture struct {
	t   *testing.T
	env map[string]string
	dir string
}

func newPolicyFixture(t *testing.T) policyFixture {
	t.Helper()
	f := policyFixture{t, homeEnv(t), t.TempDir()}
	host := startRegistry(t).host
	f.env["CAIB_CATALOG"] = host + "/team/catalog"
	for _, name := range []string{"team", "other"} {
		if _, err := writeKeypair(f.path(name)); err != nil {
			t.Fatal(err)
		}
		image := host + "/os/" + name + ":1"
		if _, err := pushSample("bootc", image, samples.Build{Distro: name, Architectures: []string{"arm64"}}); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run(t, f.env, "catalog", "publish", image, "--sign-key", f.path(name+".key")); code != 0 {
			t.Fatalf("publish %s: exit code %d\n%s", name, code, stderr)
		}
	}
	return f
}

func (f policyFixture) path(name string) string { return filepath.Join(f.dir, name) }

func (f policyFixture) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f policyFixture) read(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// A running server follows its policy file, and the keys that it names: another
// key decides at once, and while one of the files makes no sense nothing is shown.
func TestServeFollowsItsPolicyFiles(t *testing.T) {
	t.Parallel()
	f := newPolicyFixture(t)
	write, read := f.write, f.read
	const policy = "version: 1\nrules: [{keys: [{file: trusted.pub}]}]\n"
	write("policy.yaml", policy)
	write("trusted.pub", read("team.pub"))
	s, _ := servedCatalog(t, f.env, "--policy", f.path("policy.yaml"))
	list := func() (int, string) {
		return get(t, httpClient, "http://"+s.address+"/v1/catalog/images?latest=false")
	}
	only := func(name, not string) func() bool {
		return func() bool {
			status, text := list()
			return status == http.StatusOK && strings.Contains(text, `"name":"`+name+`"`) && !strings.Contains(text, `"name":"`+not+`"`)
		}
	}
	if !only("team", "other")() {
		_, text := list()
		t.Fatalf("at first the list is %s, want team alone", text)
	}
	write("trusted.pub", read("other.pub"))
	testwait.Until(t, "the other key to decide", only("other", "team"))
	for name, content := range map[string]string{"trusted.pub": "no key", "policy.yaml": "version: 1\nrules: [{keys: [{file: trusted.pub}], requires: both}]\n"} {
		right := read(name)
		write(name, content)
		testwait.Until(t, "nothing to be shown after a fault in "+name, func() bool { status, _ := list(); return status == http.StatusServiceUnavailable })
		write(name, right)
		testwait.Until(t, "the other entry to be back", only("other", "team"))
	}
	if err := os.Remove(f.path("policy.yaml")); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "nothing to be shown without the file", func() bool { status, _ := list(); return status == http.StatusServiceUnavailable })
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if log := s.log.String(); strings.Count(log, "the trust policy cannot be read") != 3 || !strings.Contains(log, "trusted.pub") {
		t.Errorf("the log:\n%s\nwant three lines about what cannot be read", log)
	}
}
