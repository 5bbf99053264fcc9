package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What the policy refuses, that of this command or that of a server, writes nothing at
// all; of what it lets through, what was published is pulled, whatever its tag names.
func TestPullHeedsThePolicy(t *testing.T) {
	t.Parallel()
	server := registries.Distribution3(t, true)
	w := newWorld(t, at(server.Host, server.Name, server.Referrers))
	key, public := keyFiles(t)
	image := pushDisk(t, w.on.image("disk")+":1", registry.Options{})
	w.ok("catalog", "publish", image, "--name", "signed", "--sign-key", key)
	w.ok("catalog", "publish", pushDisk(t, w.on.image("other")+":1", registry.Options{}), "--name", "unsigned")
	w.ok("catalog", "publish", w.push("boots", "1"), "--name", "boots")
	address, _ := w.serve("--key", public)
	host, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, policy, "version: 1\ndefault: {keys: [{file: "+public+"}]}\n")
	client := *w
	client.env = w.env[:1:1] // no catalog of its own
	askers := map[string]struct {
		*world
		args []string
		by   string
	}{
		"key": {w, []string{"--key", public}, ""}, "policy": {w, []string{"--policy", policy}, ""},
		"server": {&client, []string{"--server", address}, host.Host},
	}
	for name, by := range askers {
		by.refused(t, name, by.args)
	}
	client.exits(2, "catalog", "pull", "signed", t.TempDir(), "--server", address, "--key", public)

	want := filepath.Join(t.TempDir(), "want")
	w.ok("catalog", "pull", "signed", want)
	if err := pushSample(t.Context(), image, "another"); err != nil {
		t.Fatal(err)
	}
	for name, by := range askers {
		dest := filepath.Join(t.TempDir(), "disk")
		result := by.ok(append([]string{"catalog", "pull", "signed", dest, "-o", "json"}, by.args...)...)
		var pulled struct {
			catalog.PullResult
			VerdictBy string
		}
		fromJSON(t, result.Stdout, &pulled)
		if pulled.Verdict != "verified" || pulled.VerdictBy != by.by || pulled.ReferenceNow != w.resolve(image).Digest {
			t.Errorf("%s: got verdict %q by %q, and that the tag is at %s", name, pulled.Verdict, pulled.VerdictBy, pulled.ReferenceNow)
		}
		if !strings.Contains(result.Stderr, "names something else now") {
			t.Errorf("%s: the tag has moved, and it says %q", name, result.Stderr)
		}
		same(t, dest, want)
	}
}

// refused pulls what is not signed to all kinds of places.
func (w *world) refused(t *testing.T, name string, flags []string) {
	t.Helper()
	dir := t.TempDir()
	pulls := [][]string{
		{"unsigned", dir}, {"unsigned", filepath.Join(dir, "disk")}, {"unsigned", dir, "--keep-compressed"},
		{"unsigned", "-", "--cache", filepath.Join(dir, "cache")}, {"boots", dir}, {"boots", filepath.Join(dir, "boots.tar")}, {"boots", "-"},
	}
	t.Run(name+" with a device", func(t *testing.T) {
		device, below := testloop.New(t, 4<<20)
		before := strings.Repeat("old!", 1<<20)
		if err := os.WriteFile(below, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		w.exits(7, append([]string{"catalog", "pull", "unsigned", device, "--force"}, flags...)...)
		if after, err := os.ReadFile(below); err != nil || string(after) != before {
			t.Errorf("the device is not what it was: %v", err)
		}
	})
	for _, pull := range pulls {
		result := w.exits(7, append(append([]string{"catalog", "pull"}, pull...), flags...)...)
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || result.Stdout != "" {
			t.Errorf("%s, %v: %d files and %q are there, %v, want nothing", name, pull, len(left), result.Stdout, err)
		}
	}
}
