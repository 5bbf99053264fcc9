package catalog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// pushIndex pushes a sample of two architectures and returns its reference, and the
// digests of its index and manifests.
func (w *world) pushIndex(repository, tag string) (reference string, digests []digest.Digest) {
	w.t.Helper()
	reference = w.host + "/" + repository + ":" + tag
	to := w.repository(repository)
	index, err := samples.Bootc(w.t.Context(), to, tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64", "amd64"}, Version: tag,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	_, body, err := to.Manifest(w.t.Context(), index.Digest.String())
	if err != nil {
		w.t.Fatal(err)
	}
	digests = []digest.Digest{index.Digest}
	for _, found := range regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindAllString(string(body), -1) {
		digests = append(digests, digest.Digest(found))
	}
	if len(digests) != 3 {
		w.t.Fatalf("the index has %d manifests, want 2", len(digests)-1)
	}
	return reference, digests
}

// keepTag is the tag by which the catalog of the world keeps a manifest.
func (w *world) keepTag(d digest.Digest) string {
	sum := sha256.Sum256([]byte(w.host + "/team/catalog"))
	return "caib." + d.Encoded()[:32] + "." + hex.EncodeToString(sum[:4])
}

// keepTags returns what the tags of ours in a repository name.
func (w *world) keepTags(name string) map[string]digest.Digest {
	w.t.Helper()
	to, found := w.repository(name), map[string]digest.Digest{}
	tags, err := to.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		if !strings.HasPrefix(tag, "caib.") {
			continue
		}
		descriptor, err := to.Resolve(w.t.Context(), tag)
		if err != nil {
			w.t.Fatal(err)
		}
		found[tag] = descriptor.Digest
	}
	return found
}

func (w *world) wantKept(name string, digests ...digest.Digest) {
	w.t.Helper()
	want := map[string]digest.Digest{}
	for _, d := range digests {
		want[w.keepTag(d)] = d
	}
	if diff := cmp.Diff(want, w.keepTags(name)); diff != "" {
		w.t.Errorf("tags that keep manifests in %s (-want +got):\n%s", name, diff)
	}
}

// The image, what is below it, and the disk in another repository are kept. What is
// missing or was moved is put back by publishing again.
func TestPublishKeeps(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	image, digests := w.pushIndex("os/autosd", "1")
	disk := w.pushDisk("os/disk", "1")
	diskManifest, err := w.repository("os/disk").Resolve(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	publish := func(want catalog.Outcome, keep catalog.Outcome) catalog.PublishResult {
		t.Helper()
		result := w.publish(c, image, catalog.PublishOptions{Disk: disk})
		if result.Outcome != want || result.Keep == nil || result.Keep.Outcome != keep {
			t.Fatalf("%s, keep %+v; want %s and %s", result.Outcome, result.Keep, want, keep)
		}
		w.wantKept("os/autosd", digests...)
		w.wantKept("os/disk", diskManifest.Digest)
		return result
	}
	publish(catalog.Published, catalog.Kept)
	publish(catalog.Unchanged, catalog.Skipped)

	remove := func(path string) {
		t.Helper()
		request, _ := http.NewRequest(http.MethodDelete, "http://"+w.host+path, nil)
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != http.StatusAccepted {
			t.Fatalf("delete %s: %v, %v", path, response, err)
		}
		response.Body.Close()
	}
	remove("/v2/os/autosd/manifests/" + w.keepTag(digests[2]))
	remove("/v2/os/disk/manifests/" + w.keepTag(diskManifest.Digest))
	publish(catalog.Unchanged, catalog.Kept)

	// Somebody moves the tag of one manifest to another.
	to := w.repository("os/autosd")
	other, body, err := to.Manifest(t.Context(), digests[2].String())
	if err == nil {
		err = to.PushManifest(t.Context(), other, body, w.keepTag(digests[1]))
	}
	if err != nil {
		t.Fatal(err)
	}
	result := publish(catalog.Unchanged, catalog.Kept)
	if text := warningText(result.Warnings); !strings.Contains(text, w.keepTag(digests[1])) || !strings.Contains(text, "named "+other.Digest.String()) {
		t.Errorf("warnings %q, want the tag that was moved and what it named", text)
	}
}

func TestNothingIsKeptUnasked(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	image, _ := w.pushIndex("os/autosd", "1")
	dry := w.publish(c, image, catalog.PublishOptions{DryRun: true})
	unkept := w.publish(c, image, catalog.PublishOptions{NoKeep: true})
	added, err := c.Add(t.Context(), "theirs", w.push("os/theirs", "1", "1"), catalog.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, result := range map[string]catalog.PublishResult{"a dry run": dry, "NoKeep": unkept, "add": added} {
		if result.Keep != nil {
			t.Errorf("%s: keep %+v, want none", what, result.Keep)
		}
	}
	w.wantKept("os/autosd")
	w.wantKept("os/theirs")
}

// Keeping costs at most two requests for each manifest: three of an index, and a disk.
func TestBudgetOfKeeping(t *testing.T) {
	const manifests = 4
	for _, referrers := range []bool{true, false} {
		requests := map[bool][]int{}
		for _, noKeep := range []bool{true, false} {
			w := newWorld(t, referrers, nil)
			image, _ := w.pushIndex("os/autosd", "1")
			options := catalog.PublishOptions{Disk: w.pushDisk("os/disk", "1"), NoAttach: true, NoKeep: noKeep}
			for i := range 2 { // the second time, it is there
				asked := w.counter.during(func() { w.publish(w.open(catalog.Options{}), image, options) })
				requests[noKeep] = append(requests[noKeep], len(asked))
				asked = slices.DeleteFunc(asked, func(request string) bool { return !strings.Contains(request, "/manifests/caib.") })
				if want := map[bool]int{true: 0, false: manifests}[noKeep]; len(asked) != want {
					t.Errorf("referrers %t, NoKeep %t, publication %d: %d requests for tags that keep, want %d:\n%s", referrers, noKeep, i+1, len(asked), want, strings.Join(asked, "\n"))
				}
			}
		}
		for i, with := range requests[false] {
			if more := with - requests[true][i]; more > 2*manifests {
				t.Errorf("referrers %t, publication %d: %d requests more than without keeping, want at most %d", referrers, i+1, more, 2*manifests)
			}
		}
	}
}

// onKeep answers writes of tags that keep manifests by itself, if answer says so.
func onKeep(answer func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/caib.") {
				answer(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestKeepingIsReported(t *testing.T) {
	for status, want := range map[int]catalog.Outcome{
		http.StatusMethodNotAllowed:    "not writable",
		http.StatusBadRequest:          "refused",
		http.StatusUnauthorized:        "not writable",
		http.StatusForbidden:           "not writable",
		http.StatusInternalServerError: catalog.Failed,
	} {
		w := newWorld(t, true, onKeep(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(status) }))
		c := w.open(catalog.Options{})
		image, digests := w.pushIndex("os/autosd", "1")
		result := w.publish(c, image, catalog.PublishOptions{})
		keep := result.Keep
		if result.Outcome != catalog.Published || result.Attachment.Outcome != catalog.Attached || keep == nil || keep.Outcome != want || !strings.HasPrefix(keep.Reason, "3 of 3 manifests: ") {
			t.Errorf("%d: %s, attachment %+v, keep %+v; want published, attached and %s for 3 of 3", status, result.Outcome, result.Attachment, keep, want)
		}
		item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{})
		if err != nil || item.Digest != digests[0] {
			t.Errorf("%d: get: %v", status, err)
		}
	}
}

// Where tags cannot be written twice, one that is there already is no failure.
func TestKeepUnderImmutableTags(t *testing.T) {
	written := map[string]bool{}
	w := newWorld(t, true, onKeep(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if written[r.URL.Path] {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		written[r.URL.Path] = true
		next.ServeHTTP(w, r)
	}))
	image := w.push("os/autosd", "1", "1")
	for i, want := range []catalog.Outcome{catalog.Kept, catalog.Skipped} {
		result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Version: fmt.Sprint(i)})
		if result.Outcome != catalog.Published || result.Keep.Outcome != want {
			t.Errorf("publication %d: %s, keep %+v; want published and %s", i, result.Outcome, result.Keep, want)
		}
	}
}

// An image may stand in the repository of its catalog: the tags that keep it are none
// of the log.
func TestKeptBesideTheLog(t *testing.T) {
	w := newWorld(t, true, nil)
	image, digests := w.pushIndex("team/catalog", "image")
	for i := range 40 { // so that snapshots are written too
		w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Name: "autosd", Version: fmt.Sprint(i)})
	}
	w.wantKept("team/catalog", digests...)
	var warnings []catalog.Warning
	cold := w.open(catalog.Options{CacheDir: t.TempDir(), Warn: func(warning catalog.Warning) { warnings = append(warnings, warning) }})
	page, err := cold.List(t.Context(), catalog.ListOptions{})
	if err != nil || page.Total != 1 || page.Items[0].Version != "39" || len(warnings) != 0 {
		t.Errorf("%d entries, %v, warnings %q; want one of version 39", page.Total, err, warningText(warnings))
	}
}

// In a layout the tags are in its index, and no reference to the layout means them.
func TestKeepInALayout(t *testing.T) {
	w := newWorld(t, true, nil)
	for _, tag := range []string{"1", ""} {
		dir := filepath.Join(t.TempDir(), "image")
		ref := parse(t, "oci:"+dir)
		to, err := w.client.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64", "amd64"}, Version: "1", Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		index, err := samples.Bootc(t.Context(), to, "1", build)
		if err != nil {
			t.Fatal(err)
		}
		if tag == "" {
			_, body, _ := to.Manifest(t.Context(), index.Digest.String())
			if err := to.Delete(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			if err := to.PushManifest(t.Context(), index, body, index.Digest.String()); err != nil {
				t.Fatal(err)
			}
		}
		c := w.open(catalog.Options{CacheDir: t.TempDir()})
		for _, want := range []catalog.Outcome{catalog.Kept, catalog.Skipped} {
			result, err := c.Publish(t.Context(), ref.String(), catalog.PublishOptions{Name: "autosd" + tag})
			if err != nil || result.Keep.Outcome != want {
				t.Fatalf("tag %q: keep %+v, %v; want %s", tag, result.Keep, err, want)
			}
		}
		tags, err := to.Tags(t.Context())
		kept := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return !strings.HasPrefix(tag, "caib.") })
		if err != nil || len(kept) != 3 {
			t.Errorf("tag %q: tags %v, %v; want three that keep", tag, tags, err)
		}
		if _, err := to.Resolve(t.Context(), "nothing"); !isKind(err, entry.ErrNotFound) || strings.Contains(err.Error(), "caib.") {
			t.Errorf("tag %q: %v, want not found and no tag that keeps", tag, err)
		}
	}
}
