package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// scheduled is when the first build of a schedule was completed.
var scheduled = time.Date(2026, 2, 1, 3, 0, 0, 0, time.UTC)

// nightly builds once more under the one tag of a schedule, and returns what the build
// operator says of it and what the tag names.
func (w *world) nightly(n int) (object string, made digest.Digest) {
	w.t.Helper()
	completed, reference := scheduled.AddDate(0, 0, n), w.on.image("autosd")+":nightly"
	to, ref := w.repository(reference)
	d, err := samples.Bootc(w.t.Context(), to, ref.Tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: fmt.Sprint(n), Created: completed.Add(-time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf(`{"apiVersion": "automotive.sdv.cloud.redhat.com/v1alpha1", "kind": "ImageBuild",
 "metadata": {"name": "nightly-%02d", "labels": {"automotive.sdv.cloud.redhat.com/scheduledimagebuild-name": "nightly"}},
 "spec": {"aib": {"mode": "bootc"}, "export": {"container": %q}},
 "status": {"phase": "Completed", "startTime": %q, "completionTime": %q}}
`, n, reference, completed.Add(-time.Hour).Format(time.RFC3339), completed.Format(time.RFC3339)), d.Digest
}

// publishFile publishes builds and returns what became of each.
func (w *world) publishFile(code int, text string, flags ...string) (outcomes []catalog.Outcome, stderr string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "builds.json")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		w.t.Fatal(err)
	}
	result := w.exits(code, append([]string{"catalog", "publish", "-o", "json", "-f", path}, flags...)...)
	var all struct {
		Items []struct{ Outcome catalog.Outcome }
	}
	if err := json.Unmarshal([]byte(result.Stdout), &all); err != nil {
		w.t.Fatalf("%v\n%s", err, result.Stdout)
	}
	for _, item := range all.Items {
		outcomes = append(outcomes, item.Outcome)
	}
	return outcomes, result.Stderr
}

// Builds of one schedule through one tag are versions of one entry, each with its own
// digest; publishing them again, all in one file, changes nothing.
func TestBuildsOfASchedule(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		const builds = 30
		var text strings.Builder
		want := map[string]digest.Digest{}
		for n := range builds {
			object, made := w.nightly(n)
			text.WriteString(object)
			want[fmt.Sprintf("nightly nightly-%02d", n)] = made
			if got, stderr := w.publishFile(0, object); len(got) != 1 || got[0] != catalog.Published {
				t.Fatalf("build %d: %v\n%s", n, got, stderr)
			}
		}
		check := func() {
			t.Helper()
			got := map[string]digest.Digest{}
			for _, item := range w.list("--versions") {
				got[item.Name+" "+item.Version] = item.Digest
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
		}
		check()
		if live := w.list(); len(live) != 1 || live[0].Version != "nightly-29" {
			t.Errorf("%d entries are live, want one of the last build", len(live))
		}
		outcomes, stderr := w.elsewhere().publishFile(0, text.String())
		for n, outcome := range outcomes {
			if outcome != catalog.Unchanged {
				t.Errorf("build %d again: %s", n, outcome)
			}
		}
		if len(outcomes) != builds {
			t.Errorf("%d builds in one file, want %d\n%s", len(outcomes), builds, stderr)
		}
		check()
	})
}

// A build whose tag moved before it was published is refused with both times, or
// published with both on record.
func TestBuildWhoseTagMoved(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		old, _ := w.nightly(0)
		_, now := w.nightly(365)
		_, stderr := w.publishFile(5, old)
		for _, text := range []string{`"code":"conflict"`, "created at 2027-02-01T02:59:00Z", "completed at 2026-02-01T03:00:00Z", "--override"} {
			if !strings.Contains(stderr, text) {
				t.Errorf("it lacks %s:\n%s", text, stderr)
			}
		}
		w.publishFile(0, old, "--override")
		var item entry.Item
		if err := json.Unmarshal([]byte(w.elsewhere().ok("catalog", "get", "nightly", "-o", "json").Stdout), &item); err != nil {
			t.Fatal(err)
		}
		if item.Digest != now || len(item.Conditions) != 1 || item.Conditions[0].Type != "BuildMismatch" {
			t.Errorf("%s with %+v, want %s with a mismatch", item.Digest, item.Conditions, now)
		}
	})
}
