package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Files that an earlier entry names are kept in the registry of the image alone:
// another one is not asked and not written to, and neither is a layout.
func TestNothingIsKeptElsewhereForAnEarlierEntry(t *testing.T) {
	w, elsewhere := newWorld(t, true, nil), newWorld(t, true, nil)
	w.push("os/app", "1", "1")
	w.push("os/disk", "1", "2")
	elsewhere.push("their/disk", "1", "3")
	dir := filepath.Join(t.TempDir(), "layout")
	layout, err := w.client.Open(parse(t, "oci:"+dir))
	if err != nil {
		t.Fatal(err)
	}
	beside, err := samples.Bootc(t.Context(), layout, "1", samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1", Created: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, disk := elsewhere.described("their/disk", "1"), w.described("os/disk", "1")
	var files []revision.Artifact
	for reference, manifest := range map[string]digest.Digest{elsewhere.host + "/their/disk": theirs.Digest, w.host + "/os/disk": disk.Digest, "oci:" + dir: beside.Digest} {
		files = append(files, revision.Artifact{Type: "application/x", Reference: reference + "@" + manifest.String(), Digest: digest.FromString(reference)})
	}
	w.forge(revision.Document{Name: "app", Image: w.described("os/app", "1"), Artifacts: files}, time.Now().Add(-time.Minute))
	var result catalog.PublishResult
	var asked []string
	requests := w.counter.during(func() {
		asked = elsewhere.counter.during(func() {
			result, err = w.open(catalog.Options{}).Republish(t.Context(), "app", catalog.PublishOptions{Version: "2"})
		})
	})
	if err != nil || result.Outcome != catalog.Published || result.Keep == nil || result.Keep.Outcome != catalog.Kept {
		t.Fatalf("%+v, %v", result, err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "index.json")); err != nil || string(after) != string(index) {
		t.Errorf("%v; the layout was written to:\n%s", err, after)
	}
	requests = slices.DeleteFunc(requests, func(request string) bool { return !strings.Contains(request, "/v2/their/") })
	if tags := elsewhere.keepTags("their/disk"); len(tags) > 0 || len(asked) > 0 || len(requests) > 0 {
		t.Errorf("elsewhere: tags %v, requests %v; want none", tags, requests)
	}
	w.wantKept("os/disk", disk.Digest)
	if text := warningText(result.Warnings); strings.Count(text, "is not kept") != 2 || !strings.Contains(text, theirs.Digest.String()) {
		t.Errorf("warnings %s, want the two files that are not kept", text)
	}
}
