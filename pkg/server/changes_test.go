package server_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
)

// changes asks for what moved since a state; "" is all.
func (w *world) changes(since string) api.Changes {
	w.t.Helper()
	path := "/v1/catalog/changes"
	if since != "" {
		path += "?since=" + url.QueryEscape(since)
	}
	a := w.ask("GET", path, "")
	if a.status != 200 {
		w.t.Fatalf("changes since %q: %d %s", since, a.status, a.body)
	}
	return decode[api.Changes](w.t, a)
}

// movedTo waits until the state is another one than since, and says what moved.
func (w *world) movedTo(since string) (moved []string, state string) {
	w.t.Helper()
	var found api.Changes
	w.until("another state", func() bool { found = w.changes(since); return found.State != since })
	return happened(found.Items), found.State
}

func happened(events []entry.Event) (all []string) {
	for _, event := range events {
		all = append(all, event.Operation+" "+event.Name)
	}
	return all
}

func wantHappened(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) remove(name string, by *catalog.Signing) {
	w.t.Helper()
	if _, err := w.catalog.Remove(w.t.Context(), name, catalog.RemoveOptions{Reason: "old", Sign: by}); err != nil {
		w.t.Fatal(err)
	}
}

// What moved since a state is one event a name, the last, as the history has it. All
// that moved is told whatever state it is asked for since, and nothing twice.
func TestChangesSinceAState(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	w.startReady(nil)
	first := w.changes("")
	wantHappened(t, "at first", happened(first.Items), "publish a", "publish b")
	if again := w.changes(first.State); len(again.Items) != 0 || again.State != first.State {
		t.Errorf("since the state of now: %+v, want nothing", again)
	}

	w.publish("c")
	moved, second := w.movedTo(first.State)
	wantHappened(t, "after a publication", moved, "publish c")
	w.remove("a", nil)
	moved, third := w.movedTo(second)
	wantHappened(t, "after a removal", moved, "remove a")
	w.publish("a")
	moved, last := w.movedTo(third)
	wantHappened(t, "after it is published again", moved, "publish a")
	wantHappened(t, "since the first state", happened(w.changes(first.State).Items), "publish c", "publish a")
	wantHappened(t, "since the state between", happened(w.changes(third).Items), "publish a")
	w.remove("b", nil)
	w.movedTo(last)

	history := map[string]entry.Event{}
	for _, event := range decode[api.History](t, w.ask("GET", "/v1/catalog/history", "")).Items {
		history[event.Tag] = event
	}
	all := w.changes("")
	wantHappened(t, "in the end", happened(all.Items), "publish c", "publish a", "remove b")
	for _, event := range all.Items {
		if diff := cmp.Diff(history[event.Tag], event); diff != "" {
			t.Errorf("%s is not as the history has it (-history +changes):\n%s", event.Name, diff)
		}
	}
}

// A state is named by its ETag too, in any encoding; one that is unknown is gone, and
// what names none is a mistake.
func TestStatesOfChanges(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c", "d")
	w.startReady(nil)
	packed := w.ask("GET", "/v1/catalog/changes", "", "Accept-Encoding: gzip")
	if packed.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("the answer is not compressed: %v", packed.header)
	}
	state := w.changes("").State
	for _, since := range []string{state, packed.header.Get("ETag"), `W/"` + state + `"`} {
		if found := w.changes(since); len(found.Items) != 0 || found.State != state {
			t.Errorf("since %s: %+v, want nothing", since, found)
		}
	}
	if a := w.ask("GET", "/v1/catalog/changes", "", "If-None-Match: "+packed.header.Get("ETag"), "Accept-Encoding: gzip"); a.status != 304 {
		t.Errorf("with its ETag: %d, want 304", a.status)
	}
	for query, want := range map[string]int{
		"since=00000000000000000000000000000000": 410, "since=x": 400, "since=": 400, "since=" + state + "&since=" + state: 400, "until=" + state: 400,
	} {
		if a := w.ask("GET", "/v1/catalog/changes?"+query, ""); a.status != want {
			t.Errorf("%s: %d %s, want %d", query, a.status, a.body, want)
		}
	}
}

// Replicas that read the same log name its state alike; what one of them saw go from
// one to another, it tells whoever was with the other.
func TestReplicasNameStatesAlike(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(nil)
	first, one := w.changes("").State, w.url
	w.startReady(nil)
	if other := w.changes("").State; other != first {
		t.Errorf("one replica is at %s, the other at %s", first, other)
	}
	w.publish("b")
	_, state := w.movedTo(first)
	w.url = one
	moved, again := w.movedTo(first)
	wantHappened(t, "on the other replica", moved, "publish b")
	if again != state {
		t.Errorf("the replicas are at %s and %s, want the same", state, again)
	}
}

// Of several catalogs, names move apart.
func TestChangesOfSeveralCatalogs(t *testing.T) {
	w := newWorld(t)
	w.publish("both")
	first := w.catalog
	second := w.open("other/catalog")
	w.catalog = second
	w.publish("both")
	w.startReady(func(o *server.Options) { o.Catalogs = []*catalog.Catalog{first, second} })
	all := w.changes("")
	if len(all.Items) != 2 || all.Items[0].Catalog != first.Reference() || all.Items[1].Catalog != second.Reference() {
		t.Fatalf("got %+v, want an event of each catalog", all.Items)
	}
	w.remove("both", nil)
	var found api.Changes
	w.until("a move", func() bool { found = w.changes(all.State); return len(found.Items) > 0 })
	if len(found.Items) != 1 || found.Items[0].Operation != "remove" || found.Items[0].Catalog != second.Reference() {
		t.Errorf("got %+v, want the removal from the second catalog", found.Items)
	}
}

// Under a policy, what it refuses moves nothing, and what it verifies later does. Under
// another policy everything begins anew.
func TestPolicyDecidesWhatMoves(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	file := w.startUnder(trusting(t, owner), nil)
	all := w.changes("")
	wantHappened(t, "at first", happened(all.Items), "publish good", "remove ended")
	for _, event := range all.Items {
		if event.Verdict != entry.VerdictVerified {
			t.Errorf("%s is %q, want verified", event.Name, event.Verdict)
		}
	}
	w.remove("good", nil)
	w.signed("more", owner)
	moved, state := w.movedTo(all.State)
	wantHappened(t, "after a removal by nobody", moved, "publish more")
	if _, err := w.catalog.Sign(t.Context(), "plain", *owner); err != nil {
		t.Fatal(err)
	}
	moved, state = w.movedTo(state)
	wantHappened(t, "after a signature", moved, "publish plain")

	file.set(trusting(t, owner, warning), nil)
	w.until("the policy", func() bool {
		a := w.ask("GET", "/v1/catalog/changes", "")
		return a.status == 200 && len(decode[api.Changes](t, a).Items) == 7
	})
	if a := w.ask("GET", "/v1/catalog/changes?since="+state, ""); a.status != 410 {
		t.Errorf("since a state under another policy: %d, want 410", a.status)
	}
}

// What is known of the past is bounded by its moves. What is known is known whole.
func TestMovesAreBounded(t *testing.T) {
	const steps, names = 30, 300
	known := 0
	for n, moves := range server.MovesSince(steps, names) {
		switch want := names * (steps - 1 - n); {
		case moves == want:
			known++
		case moves >= 0 || known > 0:
			t.Fatalf("since state %d there are %d moves, want %d", n, moves, want)
		}
	}
	if want := server.MaxMoves/names + 1; known != want {
		t.Errorf("the moves since %d states are known, want %d", known, want)
	}
}
