package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// The run of a pipeline is recorded with what it publishes. Another run of the same
// image changes nothing, and an edit keeps the run.
func TestBuildIsRecorded(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	c := w.open(catalog.Options{})
	run := func(number string) entry.Build {
		return entry.Build{System: "gitlab-ci", URL: "https://gitlab.example.com/jobs/" + number, Commit: "ce9a3c1", Ref: "main"}
	}
	publish := func(options catalog.PublishOptions) catalog.PublishResult {
		t.Helper()
		result, err := c.Publish(t.Context(), image, options)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first := publish(catalog.PublishOptions{Build: run("1")})
	if diff := cmp.Diff(run("1"), first.Item.Build); diff != "" {
		t.Errorf("published (-want +got)\n%s", diff)
	}
	for _, build := range []entry.Build{run("2"), {}} {
		if again := publish(catalog.PublishOptions{Build: build}); again.Outcome != catalog.Unchanged || again.Item.Revision != first.Item.Revision {
			t.Errorf("from %+v again: %s, want unchanged", build, again.Outcome)
		}
	}
	if _, err := c.Edit(t.Context(), "autosd", entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{Author: "ada"}); err != nil {
		t.Fatal(err)
	}
	item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run("1"), item.Build); diff != "" || item.PublishedBy != "ada" {
		t.Errorf("edited by %s (-want +got)\n%s", item.PublishedBy, diff)
	}
	events, err := c.History(t.Context(), "autosd")
	if err != nil || len(events) != 2 || events[0].Build != run("1") || events[1].Build != run("1") {
		t.Errorf("history %+v, %v; want two events of run 1", events, err)
	}
	if third := publish(catalog.PublishOptions{Version: "2"}); third.Item.Build != (entry.Build{}) {
		t.Errorf("published by no build: %+v", third.Item.Build)
	}
}
