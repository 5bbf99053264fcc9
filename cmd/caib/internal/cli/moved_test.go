package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

// referencesIn calls found with every word of a document that can be pulled from a
// host, the member registryUrl apart.
func referencesIn(value any, host string, found func(registry.Reference)) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if name != "registryUrl" {
				referencesIn(member, host, found)
			}
		}
	case []any:
		for _, element := range v {
			referencesIn(element, host, found)
		}
	case string:
		for word := range strings.FieldsSeq(v) {
			ref, err := registry.ParseReference(strings.Trim(strings.TrimPrefix(word, "oci://"), "'"))
			if err == nil && ref.Registry == host {
				found(ref)
			}
		}
	}
}

// After its tags were moved, all that get hands out of an entry is what was published.
func TestWhatIsHandedOutIsWhatWasPublished(t *testing.T) {
	t.Parallel()
	r := startRegistry(t)
	env := homeEnv(t)
	env["CAIB_CATALOG"] = r.host + "/team/catalog"
	image, disk := r.host+"/team/autosd:nightly", r.host+"/team/disk:nightly"
	push := func(distro string) {
		for kind, reference := range map[string]string{"bootc": image, "disk": disk} {
			if _, err := pushSample(kind, reference, samples.Build{Distro: distro, Target: "rpi4", Architectures: []string{"arm64", "amd64"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	resolve := func(ref registry.Reference) digest.Digest {
		t.Helper()
		repository, _, err := openRepository(ref.Base())
		if err != nil {
			t.Fatal(err)
		}
		found, err := repository.Resolve(context.WithoutCancel(t.Context()), ref.Target())
		if err != nil {
			t.Errorf("%s cannot be had: %v", ref, err)
		}
		return found.Digest
	}
	get := func() (all []registry.Reference) {
		t.Helper()
		code, stdout, stderr := run(t, env, "catalog", "get", "autosd", "-o", "json")
		var document any
		if err := json.Unmarshal([]byte(stdout), &document); code != 0 || err != nil {
			t.Fatalf("get: exit code %d, %v\n%s", code, err, stderr)
		}
		referencesIn(document, r.host, func(ref registry.Reference) { all = append(all, ref) })
		return all
	}
	push("autosd")
	build := filepath.Join(t.TempDir(), "build.yaml")
	text := "kind: ImageBuild\napiVersion: automotive.sdv.cloud.redhat.com/v1alpha1\nmetadata: {name: autosd}\nspec: {aib: {mode: bootc}, export: {container: \"" +
		image + "\", disk: {oci: \"" + disk + "\"}}}\nstatus: {phase: Completed}\n"
	if err := os.WriteFile(build, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "catalog", "publish", "-f", build); code != 0 {
		t.Fatal(stderr)
	}
	var published []digest.Digest
	for _, ref := range get() {
		published = append(published, resolve(ref))
	}
	push("another")
	after := get()
	if len(after) < 8 || len(after) != len(published) {
		t.Errorf("%d references, and %d after the tags were moved, want the same, and at least 8: of image, disk, platforms and commands", len(published), len(after))
	}
	for _, ref := range after {
		if now := resolve(ref); !slices.Contains(published, now) || now != ref.Digest {
			t.Errorf("%s is %s now, want what was published", ref, now)
		}
	}
}
