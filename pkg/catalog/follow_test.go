package catalog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// follow asks what moved, and notes it in known.
func follow(t *testing.T, f *catalog.Follower, known map[string]string) (told []string, events []entry.Event) {
	t.Helper()
	events, err := f.Moved(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		told = append(told, event.Operation+" "+event.Name)
		known[event.Name] = event.Tag
	}
	return told, events
}

func wantTold(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A follower tells what decides names as the history has it, each until it is noted,
// and nothing that comes before what was noted.
func TestFollowTellsWhatMoves(t *testing.T) {
	w := newWorld(t, true, nil)
	writer, reader := w.open(catalog.Options{}), w.open(catalog.Options{CacheDir: t.TempDir()})
	w.fill(writer, 2, nil)
	known := map[string]string{}
	f := reader.Follow()
	first, events := follow(t, f, map[string]string{})
	again, _ := follow(t, f, known)
	if diff := cmp.Diff(first, again); diff != "" || len(first) != 2 {
		t.Errorf("what was not noted is told again as %v, want %v", again, first)
	}
	name := events[0].Name
	for _, what := range []string{"with nothing new", "a second time"} {
		told, _ := follow(t, f, known)
		wantTold(t, what, told)
	}

	if _, err := writer.Edit(t.Context(), name, entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Remove(t.Context(), name, catalog.RemoveOptions{Reason: "old"}); err != nil {
		t.Fatal(err)
	}
	told, events := follow(t, f, known)
	wantTold(t, "after two revisions of a name", told, "remove "+name)
	history, err := writer.History(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(history[len(history)-1], events[0]); diff != "" {
		t.Errorf("the removal is not as the history has it (-history +told):\n%s", diff)
	}
	w.remove(events[0].Tag) // a reader of less than that goes back
	told, _ = follow(t, w.open(catalog.Options{}).Follow(), known)
	wantTold(t, "to a reader that does not see the removal", told)
}

// Under a policy, what it refuses moves nothing, whatever it is; what somebody signs
// later does.
func TestFollowUnderAPolicy(t *testing.T) {
	w, owner := newWorld(t, true, nil), team(t)
	writer := w.open(catalog.Options{})
	w.fill(writer, 1, owner)
	f := w.open(catalog.Options{Policy: trusting(t, owner)}).Follow()
	known := map[string]string{}
	_, events := follow(t, f, known)
	if len(events) != 1 || events[0].Verdict != entry.VerdictVerified {
		t.Fatalf("got %+v, want one verified publication", events)
	}
	good := events[0].Name
	w.publish(writer, w.push("os/plain", "1", "1"), catalog.PublishOptions{Name: "plain"})
	if _, err := writer.Remove(t.Context(), good, catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	told, _ := follow(t, f, known)
	wantTold(t, "after what nobody signed", told)
	if _, err := writer.Sign(t.Context(), "plain", *owner); err != nil {
		t.Fatal(err)
	}
	fresh := w.open(catalog.Options{Policy: trusting(t, owner)}).Follow()
	told, _ = follow(t, fresh, known)
	wantTold(t, "after one was signed", told, "publish plain")
}

// A round in which nothing moved asks for the list of tags alone.
func TestFollowAsksForTagsAlone(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	w.fill(c, 3, nil)
	f, known := c.Follow(), map[string]string{}
	follow(t, f, known)
	asked := w.counter.during(func() { follow(t, f, known) })
	if len(asked) != 1 || !strings.Contains(asked[0], "/tags/list") {
		t.Errorf("asked %v, want the tags", asked)
	}
}
