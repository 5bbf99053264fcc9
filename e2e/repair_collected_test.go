package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/registries"
)

// What a registry's own garbage collection took is found after it, and mended or named.
func TestRepairAfterAGarbageCollection(t *testing.T) {
	t.Parallel()
	for _, start := range []func(t testing.TB) registries.Server{
		func(t testing.TB) registries.Server { return registries.Distribution3(t, true) }, registries.Distribution2,
	} {
		server := start(t)
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			d := newDamagedOn(t, at(server.Host, server.Name, false), "")
			want := d.list("--policy", d.policy)
			server.Collect(t)
			if whole := d.ok("catalog", "repair", "--policy", d.policy); whole.Stdout != "" {
				t.Fatalf("after a collection of what no tag lacks, repair finds\n%s", whole.Stdout)
			}

			tag, _ := d.head()
			d.drop(d.on.catalog + ":" + tag)
			server.Collect(t)
			d.mends(tag + "   lost")

			d.deleteAttachments(d.image)
			server.Collect(t)
			if server.Name == "distribution-3.1" { // it collects nothing that the fallback index lists
				d.ok("catalog", "repair", "--policy", d.policy)
			} else {
				d.mends("attachment", "referrers")
			}
			if diff := cmp.Diff(want, d.list("--policy", d.policy)); diff != "" {
				t.Error("the entries are others: ", diff)
			}

			d.drop(d.image)
			server.Collect(t)
			d.namesImage()
		})
	}
}

// drop deletes what is under a tag by its digest, and so under all of its tags.
func (w *world) drop(reference string) {
	w.t.Helper()
	repository, _ := w.repository(reference)
	if err := repository.Delete(w.t.Context(), w.resolve(reference).Digest.String()); err != nil {
		w.t.Fatal(err)
	}
}

// namesImage requires that an image that is gone is named, and that nothing is written
// for it.
func (d *damaged) namesImage() {
	d.t.Helper()
	state := func() (tags []string) {
		for _, repository := range []string{d.on.catalog + ":x", d.image} {
			tags = append(tags, d.tags(repository)...)
		}
		slices.Sort(tags)
		return tags
	}
	said := d.exits(9, "catalog", "repair", "--policy", d.policy, "--apply")
	if !regexp.MustCompile(`(?m)^image +\S*autosd\S* +lost `).MatchString(said.Stdout) {
		d.t.Errorf("a repair of a catalog whose image is gone says\n%s%s", said.Stdout, said.Stderr)
	}
	before := state()
	again := d.exits(9, "catalog", "repair", "--policy", d.policy, "--apply")
	if strings.Contains(again.Stdout, "mended") {
		d.t.Errorf("the second repair says\n%s", again.Stdout)
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		d.t.Error("the second repair wrote: ", diff)
	}
}
