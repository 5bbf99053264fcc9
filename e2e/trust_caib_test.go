package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// What the caib command signs, both cosigns verify in the catalog's repository
// and in the image's, in both formats; and the caib command lists what cosign
// signed.
func TestCaibAndCosign(t *testing.T) {
	t.Parallel()
	c := newCosigns(t)
	onSigning(t, func(t *testing.T, w *world) {
		c := c.in(t)
		w.env = append(w.env, "COSIGN_PASSWORD="+password)
		for _, format := range formats {
			image := w.push("image-"+format, "1")
			published := w.ok("catalog", "publish", image, "--sign-key", c.key, "--sign-image", "--signature-format", format, "-o", "json")
			var result catalog.PublishResult
			if err := json.Unmarshal([]byte(published.Stdout), &result); err != nil {
				t.Fatal(err)
			}
			for program, args := range c.verifications(format, c.public) {
				c.must(program, append(args, w.on.catalog+"@"+result.Item.Revision.String())...)
				c.must(program, append(args, at2(image, w.resolve(image)))...)
			}
			w.ok("catalog", "get", result.Item.Name, "--key", c.public, "--require", "both")
		}
		for name, sign := range c.signings() {
			entry := "by-" + mapped(name)
			image := w.push(entry, "1")
			w.ok("catalog", "publish", image)
			w.exits(7, "catalog", "get", entry, "--key", c.public)
			sign(w.on.catalog + "@" + w.revision(entry))
			w.ok("catalog", "get", entry, "--key", c.public)
			w.ok("catalog", "verify", entry, "--key", c.public)
		}
		if result := w.ok("catalog", "verify", "--all", "--key", c.public, "-o", "name"); result.Stdout == "" {
			t.Error("verify --all names nothing, want the verified entries")
		}
	})
}

func mapped(name string) string {
	text := []rune{}
	for _, r := range name {
		text = append(text, word(r))
	}
	return string(text)
}

// revision is the digest of an entry's revision.
func (w *world) revision(name string) string {
	w.t.Helper()
	for _, item := range w.list() {
		if item.Name == name {
			return item.Revision.String()
		}
	}
	w.t.Fatalf("no entry %s", name)
	return ""
}

// A policy file, with the keys beside it, from the user's configuration.
func TestPolicyFromConfiguration(t *testing.T) {
	c := newCosigns(t)
	w := newWorld(t, targets()["ggcr"](t))
	home := t.TempDir()
	w.env = []string{"HOME=" + home, "CAIB_CATALOG=" + w.on.catalog, "COSIGN_PASSWORD=" + password}
	w.ok("catalog", "publish", w.push("signed", "1"), "--sign-key", c.key)
	w.ok("catalog", "publish", w.push("bare", "1"))
	config := filepath.Join(home, ".config", "caib")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(config, "config.yaml"), "policy: "+filepath.Join(c.dir, "policy.yaml")+"\n")
	write(t, filepath.Join(c.dir, "policy.yaml"), "version: 1\ndefault: {keys: [{file: team.pub}]}\n")
	result := tools.Run(t, w.env, w.caib, "catalog", "list", "-o", "name")
	if result.Code != 7 || result.Stdout != "signed\n" {
		t.Errorf("list by the configured policy: %+v, want exit code 7 and signed alone", result)
	}
}
