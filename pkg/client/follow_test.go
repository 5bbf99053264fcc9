package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
)

// change is an event of a name at some second, as a server tells it.
func change(name, catalog string, second int) (tag, text string) {
	revision := digest.FromString(fmt.Sprint(name, second))
	tag = fmt.Sprintf("%s.%09d.p%s", name, second, revision.Encoded()[:16])
	return tag, fmt.Sprintf(`{"name":%q,"catalog":%q,"operation":"publish","at":"2026-03-01T12:00:%02d.000Z","revision":%q,"tag":%q}`, name, catalog, second, revision, tag)
}

// following is a server whose answers a test sets, by what they are asked since.
func following(t *testing.T, answers map[string]string) (c *client.Client, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		since := r.URL.Query().Get("since")
		*asked = append(*asked, since)
		answer, ok := answers[since]
		if !ok {
			w.WriteHeader(http.StatusGone)
			answer = `{"error":"x","code":"not_found"}`
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return newClient(t, server.URL, client.Options{}), asked
}

// moved asks what moved, and handles the first so many of it.
func moved(t *testing.T, f *client.Follower, known map[string]string, handle int) string {
	t.Helper()
	events, err := f.Moved(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n, event := range events {
		names = append(names, event.Name)
		if n < handle {
			known[event.Name] = event.Tag
		}
	}
	return strings.Join(names, " ")
}

// A follower goes on after what was handled, and tells the rest again. It asks for all
// only at first, and where the server does not know its state any more.
func TestFollows(t *testing.T) {
	_, a := change("a", "", 1)
	_, b := change("b", "", 2)
	_, c := change("c", "", 3)
	_, later := change("a", "", 4)
	answers := map[string]string{
		"":   `{"items":[` + b + "," + a + `],"state":"s1"}`,
		"s1": `{"items":[` + c + `],"state":"s2"}`,
		"s2": `{"items":[],"state":"s2"}`,
	}
	server, asked := following(t, answers)
	known := map[string]string{}
	f := server.Follow("")
	for n, step := range []struct {
		handle int
		want   string
	}{{1, "a b"}, {1, "b"}, {0, "c"}, {1, "c"}, {0, ""}} {
		if got := moved(t, f, known, step.handle); got != step.want {
			t.Errorf("step %d: %q moved, want %q", n, got, step.want)
		}
	}
	delete(answers, "s2")
	answers[""] = `{"items":[` + a + "," + later + "," + c + `],"state":"s9"}`
	if got := moved(t, f, known, 1); got != "a" {
		t.Errorf("after the server forgot: %q moved, want a", got)
	}
	if state := f.State(known); state != "s9" {
		t.Errorf("in the end the state is %q, want s9", state)
	}
	if diff := cmp.Diff([]string{"", "", "s1", "s1", "s2", "s2", ""}, *asked); diff != "" {
		t.Errorf("asked since (-want +got):\n%s", diff)
	}
}

// A follower goes on where another one ended.
func TestFollowsOn(t *testing.T) {
	tag, a := change("a", "", 1)
	server, asked := following(t, map[string]string{"s1": `{"items":[` + a + `],"state":"s2"}`, "s2": `{"items":[],"state":"s2"}`})
	known := map[string]string{"a": tag}
	f := server.Follow("s1")
	if got := moved(t, f, known, 0) + moved(t, f, known, 0); got != "" {
		t.Errorf("%q moved, want nothing that is known", got)
	}
	if diff := cmp.Diff([]string{"s1", "s2"}, *asked); diff != "" {
		t.Errorf("asked since (-want +got):\n%s", diff)
	}
}

// What is no answer of the route moves nothing.
func TestFollowsNothingElse(t *testing.T) {
	_, of := change("a", "r.example.com/c", 1)
	_, a := change("a", "", 1)
	for name, tt := range map[string]struct {
		answer string
		want   error
	}{
		"no state":         {`{"items":[]}`, entry.ErrUnreachable},
		"no items":         {`{"state":"s"}`, entry.ErrUnreachable},
		"another's tag":    {`{"items":[` + strings.Replace(a, `"name":"a"`, `"name":"b"`, 1) + `],"state":"s"}`, entry.ErrUnreachable},
		"several catalogs": {`{"items":[` + of + `],"state":"s"}`, entry.ErrInvalid},
	} {
		server, _ := following(t, map[string]string{"": tt.answer})
		if events, err := server.Follow("").Moved(t.Context(), nil); len(events) > 0 || entry.Code(err) != entry.Code(tt.want) {
			t.Errorf("%s: got %v, error %v, want %v", name, events, err, tt.want)
		}
	}
}
