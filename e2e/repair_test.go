package e2e

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/e2e/registries"
)

// damaged is a signed catalog in CNCF distribution, which a test damages.
type damaged struct {
	*world
	dir    string
	policy string
	image  string
}

func newDamaged(t *testing.T) *damaged {
	t.Helper()
	dir := t.TempDir()
	server := httptest.NewServer(registries.Distribution3Handler(dir, true))
	t.Cleanup(server.Close)
	return newDamagedOn(t, at(strings.TrimPrefix(server.URL, "http://"), "distribution-3.1", false), dir)
}

// newDamagedOn makes the catalog in a registry whose files are below dir.
func newDamagedOn(t *testing.T, on target, dir string) *damaged {
	t.Helper()
	d := &damaged{world: newWorld(t, on), dir: dir, policy: filepath.Join(t.TempDir(), "policy.yaml")}
	key, public := keyFiles(t)
	if err := os.WriteFile(d.policy, []byte("version: 1\ndefault: {keys: [{file: "+public+"}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.image = d.push("autosd", "1", "arm64")
	for _, version := range []string{"1", "2"} {
		d.ok("catalog", "publish", d.image, "--version", version, "--sign-key", key)
	}
	d.ok("catalog", "list", "--policy", d.policy)
	return d
}

// head is the tag of the newest revision, and the digest of its manifest.
func (d *damaged) head() (string, digest.Digest) {
	d.t.Helper()
	tags := slices.DeleteFunc(d.tags(d.on.catalog+":x"), func(tag string) bool { return !strings.HasPrefix(tag, "autosd.") })
	slices.Sort(tags)
	if len(tags) == 0 {
		d.t.Fatal("the catalog lists no revision")
	}
	head := tags[len(tags)-1]
	return head, d.resolve(d.on.catalog + ":" + head).Digest
}

func (d *damaged) blob(of digest.Digest) string {
	return filepath.Join(d.dir, "docker/registry/v2/blobs/sha256", of.Encoded()[:2], of.Encoded(), "data")
}

func (d *damaged) repositoryDir(reference string) string {
	path := strings.SplitN(reference, "/", 2)[1]
	path, _, _ = strings.Cut(path, ":")
	return filepath.Join(d.dir, "docker/registry/v2/repositories", path)
}

func (d *damaged) remove(path string) {
	d.t.Helper()
	if _, err := os.Stat(path); err != nil {
		d.t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		d.t.Fatal(err)
	}
}

func (d *damaged) flip(path string) {
	d.t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		text[len(text)/2] ^= 1
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// mends requires that the damage is said, and mended.
func (d *damaged) mends(says ...string) {
	d.t.Helper()
	plan := d.exits(9, "catalog", "repair", "--policy", d.policy)
	for _, word := range says {
		if !strings.Contains(plan.Stdout, word) {
			d.t.Errorf("the plan does not say %q:\n%s%s", word, plan.Stdout, plan.Stderr)
		}
	}
	d.ok("catalog", "repair", "--policy", d.policy, "--apply")
	if again := d.ok("catalog", "repair", "--policy", d.policy, "--apply"); again.Stdout != "" {
		d.t.Errorf("the second repair found\n%s", again.Stdout)
	}
	d.elsewhere().ok("catalog", "verify", "--all", "--policy", d.policy)
}

// What is damaged on the disk of a registry is found, and mended or named.
func TestRepairOfARegistrysFiles(t *testing.T) {
	t.Parallel()
	d := newDamaged(t)
	d.ok("catalog", "repair", "--policy", d.policy)
	want := d.list("--policy", d.policy)

	tag, manifest := d.head()
	d.remove(d.blob(manifest))
	d.mends(tag + "   damaged")

	d.remove(filepath.Join(d.repositoryDir(d.on.catalog), "_manifests/tags", tag))
	d.mends(tag + "   lost")

	links := filepath.Join(d.repositoryDir(d.on.catalog), "_manifests")
	d.remove(filepath.Join(links, "revisions/sha256", manifest.Encoded()))
	d.remove(filepath.Join(links, "tags", tag))
	d.mends(tag + "   lost")

	repository, _ := d.repository(d.image)
	referrers, err := repository.Referrers(t.Context(), d.resolve(d.image))
	if err != nil {
		t.Fatal(err)
	}
	for _, referrer := range referrers {
		d.remove(d.blob(referrer.Digest))
	}
	d.mends("attachment", "referrers")

	d.flip(d.blob(manifest))
	d.exits(9, "catalog", "verify", "--all")
	kept := d.exits(9, "catalog", "repair", "--policy", d.policy, "--apply")
	if !strings.Contains(kept.Stdout, "whoever runs it has to delete the altered file") {
		t.Errorf("a repair of what the registry does not store again says\n%s%s", kept.Stdout, kept.Stderr)
	}
	d.remove(d.blob(manifest))
	d.mends(tag + "   damaged")

	if diff := cmp.Diff(want, d.list("--policy", d.policy)); diff != "" {
		t.Error("the entries are others: ", diff)
	}
}

// A repository that is deleted whole is rebuilt from what is attached to the images.
func TestALostRepositoryIsRebuilt(t *testing.T) {
	t.Parallel()
	d := newDamaged(t)
	want := d.list("--policy", d.policy)
	d.remove(d.repositoryDir(d.on.catalog))
	other := d.elsewhere()
	images := d.image[:strings.LastIndex(d.image, ":")]
	other.exits(9, "catalog", "repair", "--policy", d.policy, "--from-images", images)
	other.ok("catalog", "repair", "--policy", d.policy, "--from-images", images, "--apply")
	if again := other.ok("catalog", "repair", "--policy", d.policy, "--from-images", images, "--apply"); again.Stdout != "" {
		t.Errorf("the second repair found\n%s", again.Stdout)
	}
	if diff := cmp.Diff(want, d.list("--policy", d.policy)); diff != "" {
		t.Error("the entries are others: ", diff)
	}
	other.ok("catalog", "verify", "--all", "--policy", d.policy)
}
