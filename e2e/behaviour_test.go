package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The behavioural suite: what a user does, on every target.

func TestPublishFindRemove(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		if result := w.ok("catalog", "list"); !strings.Contains(result.Stderr, "is empty") || !strings.Contains(result.Stderr, "caib catalog publish") {
			t.Errorf("list of an empty catalog says %s%s, want that it is empty, and how to publish", result.Stdout, result.Stderr)
		}
		image := w.push("autosd", "10.1", "arm64", "amd64")
		first := w.ok("catalog", "publish", image, "--version", "10.1", "--tags", "nightly,qa")
		if !strings.HasPrefix(first.Stdout, "published autosd ") || !strings.Contains(first.Stderr, "attached to the image") {
			t.Errorf("publish says %s%s, want published and attached", first.Stdout, first.Stderr)
		}
		before := w.tags(w.on.catalog)
		if second := w.ok("catalog", "publish", image, "--version", "10.1", "--tags", "qa", "--tags", "nightly"); !strings.HasPrefix(second.Stdout, "published") {
			t.Errorf("tags in another order are other content: %s", second.Stdout)
		}
		if third := w.ok("catalog", "publish", image, "--version", "10.1", "--tags", "qa,nightly"); !strings.HasPrefix(third.Stdout, "unchanged autosd ") {
			t.Errorf("publish of the same again says %s, want unchanged", third.Stdout)
		}
		if after := w.tags(w.on.catalog); len(after) != len(before)+1 {
			t.Errorf("tags %v became %v, want one more", before, after)
		}
		w.ok("catalog", "add", "upstream", w.push("cs9", "9"))
		if diff := cmp.Diff([]string{"autosd", "upstream"}, names(w.list())); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"autosd"}, names(w.list("--tags", "qa", "--architecture", "x86_64", "--target", "rpi4"))); diff != "" {
			t.Errorf("list --tags --architecture --target (-want +got):\n%s", diff)
		}
		w.ok("catalog", "remove", "upstream", "--force", "--reason", "test")
		w.exits(4, "catalog", "get", "upstream")
		if history := w.ok("catalog", "history", "upstream"); strings.Count(history.Stdout, "\n") != 3 {
			t.Errorf("history of what was removed:\n%s", history.Stdout)
		}
		w.ok("catalog", "add", "upstream", w.on.image("cs9")+":9")
		if diff := cmp.Diff([]string{"autosd", "upstream"}, names(w.list())); diff != "" {
			t.Errorf("after it was added again: %s", diff)
		}
	})
}

func TestTheCatalogAsItWas(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.ok("catalog", "publish", w.push("autosd", "1"), "--version", "1")
		between := w.list()[0].PublishedAt.Add(time.Millisecond).Format(time.RFC3339Nano)
		w.ok("catalog", "publish", w.push("autosd", "2"), "--version", "2")
		w.ok("catalog", "publish", w.push("other", "1"))
		if items := w.list("--as-of", between); len(items) != 1 || items[0].Version != "1" {
			t.Errorf("as of %s: %+v", between, items)
		}
		if got := w.ok("catalog", "get", "autosd", "--as-of", between); !strings.Contains(got.Stdout, `version: "1"`) {
			t.Errorf("get as of %s:\n%s", between, got.Stdout)
		}
		w.exits(4, "catalog", "get", "other", "--as-of", between)
		if got := w.ok("catalog", "get", "autosd", "--version", "1"); !strings.Contains(got.Stdout, `version: "1"`) {
			t.Errorf("get of a version:\n%s", got.Stdout)
		}
	})
}

// A catalog grows past several snapshots; cold readers, warm readers and those
// that list the past agree.
func TestSnapshotsComeAndGo(t *testing.T) {
	t.Parallel()
	onEvery(t, func(t *testing.T, w *world) {
		images := w.pushMany("image", 66)
		var want []string
		for i, image := range images {
			name := "e" + image[strings.LastIndex(image, "v")+1:]
			result := w.ok("catalog", "publish", image, "--name", name, "--no-attach")
			want = append(want, name)
			if i%33 == 32 && diffNames(want, w.list()) != "" {
				t.Fatalf("after %d entries:\n%s%s", i+1, diffNames(want, w.list()), result.Stderr)
			}
		}
		snapshots := slices.DeleteFunc(w.tags(w.on.catalog), func(tag string) bool { return !strings.HasPrefix(tag, "_snapshot.") })
		if len(snapshots) < 2 {
			t.Errorf("snapshots %v, want at least 2", snapshots)
		}
		if diff := diffNames(want, w.list()); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		w.ok("catalog", "remove", "e000", "--force")
		if diff := diffNames(want[1:], w.list()); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		warm := strings.Fields(w.ok("catalog", "list", "-o", "name", "--sort", "name").Stdout)
		if diff := cmp.Diff(want[1:], warm); diff != "" {
			t.Errorf("warm: %s", diff)
		}
	})
}

func TestNothingIsWrittenOfWhatIsRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		image := w.push("autosd", "1")
		w.ok("catalog", "publish", image)
		before := w.tags(w.on.catalog)
		w.exits(5, "catalog", "publish", image, "--name", "second")
		w.exits(5, "catalog", "add", "autosd", w.push("other", "1"))
		w.exits(5, "catalog", "add", "other", w.on.image("other")+":1", "--digest", "sha256:"+strings.Repeat("0", 64))
		w.exits(4, "catalog", "publish", w.on.image("none")+":1")
		w.exits(2, "catalog", "publish", image, "--name", "No")
		w.exits(2, "catalog", "publish", image, "--description", "a\x1b[31mb")
		w.exits(2, "catalog", "remove", "autosd")
		w.ok("catalog", "publish", w.on.image("other")+":1", "--dry-run")
		if diff := cmp.Diff(before, w.tags(w.on.catalog)); diff != "" {
			t.Errorf("something was written:\n%s", diff)
		}
	})
}
