package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/tools"
)

// document is what a foreign client reads in the document of an entry.
type document struct {
	Name, Version string
	Image         struct{ Reference string }
}

// The oras command as a foreign client: it sees what caib wrote with the means
// of any OCI client, and carries it elsewhere.
func TestForeignClientSeesEntries(t *testing.T) {
	oras := tools.Oras(t)
	onEvery(t, func(t *testing.T, w *world) {
		image := w.push("autosd", "1", "arm64", "amd64")
		w.ok("catalog", "publish", image, "--version", "1.0", "--tags", "qa")
		tags := w.tags(w.on.catalog)
		published := slices.IndexFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, "autosd.") })
		if published < 0 {
			t.Fatalf("the catalog has the tags %q, want a publication of autosd", tags)
		}
		revision := tags[published]
		run := func(args ...string) string {
			t.Helper()
			result := tools.Run(t, nil, oras, args...)
			if result.Code != 0 {
				t.Fatalf("oras %v: %s", args, result.Stderr)
			}
			return result.Stdout
		}
		// oras names the kind of place by a flag, caib in the reference.
		where, mirror := "plain-http", "mirror/autosd:1"
		if host, _, _ := strings.Cut(w.on.catalog, "/"); strings.HasPrefix(host, "oci:") {
			where, mirror = "oci-layout", "oci:"+t.TempDir()+"/mirror:1"
		} else {
			mirror = host + "/" + mirror
		}
		path := func(reference string) string { return strings.TrimPrefix(reference, "oci:") }

		var manifest ocispec.Manifest
		if err := json.Unmarshal([]byte(run("manifest", "fetch", "--"+where, path(w.on.catalog)+":"+revision)), &manifest); err != nil {
			t.Fatal(err)
		}
		if manifest.ArtifactType != entryType || manifest.Annotations[ocispec.AnnotationTitle] != "autosd" {
			t.Errorf("manifest %+v", manifest)
		}
		blob := run("blob", "fetch", "--"+where, "--output", "-", path(w.on.catalog)+"@"+manifest.Layers[0].Digest.String())
		var found document
		if err := json.Unmarshal([]byte(blob), &found); err != nil {
			t.Fatal(err)
		}
		if found.Name != "autosd" || found.Version != "1.0" || found.Image.Reference != image {
			t.Errorf("document %s", blob)
		}
		// go-containerregistry's registry puts the config's media type where the
		// artifact type belongs; the annotations tell as well.
		const mark = "vnd.caib.catalog.image-digest"
		if discovered := run("discover", "--"+where, "--format", "json", path(image)); !strings.Contains(discovered, mark) {
			t.Errorf("oras discover does not find the entry: %s", discovered)
		}

		run("cp", "-r", "--from-"+where, "--to-"+where, path(image), path(mirror))
		if mirrored := run("discover", "--"+where, "--format", "json", path(mirror)); !strings.Contains(mirrored, mark) {
			t.Errorf("the copy has lost its attachment: %s", mirrored)
		}
		if found := w.attachments(mirror, w.resolve(mirror)); found != 1 {
			t.Errorf("%d attachments on the copy, want 1", found)
		}
	})
}

// A layout that caib wrote is one that others read, and the reverse; a catalog
// that was copied from one place to another is the same catalog.
func TestForeignClientReadsLayouts(t *testing.T) {
	oras := tools.Oras(t)
	onEvery(t, func(t *testing.T, w *world) {
		w.ok("catalog", "publish", w.push("autosd", "1"))
		w.ok("catalog", "publish", w.push("other", "1"))
		w.ok("catalog", "remove", "other", "--force")
		before := w.list()
		layout := strings.HasPrefix(w.on.catalog, "oci:")
		copied := t.TempDir() + "/copied"
		for _, tag := range w.tags(w.on.catalog) {
			args := []string{"cp", "--to-oci-layout", "--from-plain-http", w.on.catalog + ":" + tag, copied + ":" + tag}
			if layout {
				args = []string{"cp", "--to-oci-layout", "--from-oci-layout", strings.TrimPrefix(w.on.catalog, "oci:") + ":" + tag, copied + ":" + tag}
			}
			if result := tools.Run(t, nil, oras, args...); result.Code != 0 {
				t.Fatal(result.Stderr)
			}
		}
		if diff := cmp.Diff(before, w.list("--catalog", "oci:"+copied)); diff != "" {
			t.Errorf("the copy reads differently:\n%s", diff)
		}
	})
}
