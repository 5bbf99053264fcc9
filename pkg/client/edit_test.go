package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
)

// An edit is made again to what another one left, and not for ever.
func TestEditTriesAgain(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refused int // requests before one is taken
		match   bool
		asked   int
		want    error
	}{
		{"at once", 0, false, 1, nil},
		{"the third time", 2, false, 3, nil},
		{"never", 9, false, 3, entry.ErrConflict},
		{"for one revision only", 9, true, 1, entry.ErrConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			revision := func(n int) string { return "sha256:" + strings.Repeat(fmt.Sprint(n), 64) }
			shown, patched := 0, 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				item := fmt.Sprintf(`"name":"a","phase":"Available","revision":%q,"digest":%q,"registryUrl":"r/a:1","tags":["old","t%d"],"labels":{"x":"y"}`, revision(shown), revision(0), shown)
				if r.Method == http.MethodGet {
					shown++
					_, _ = io.WriteString(w, "{"+strings.Replace(item, revision(shown-1), revision(shown), 1)+"}")
					return
				}
				patched++
				if got, want := r.Header.Get("If-Match"), `"`+revision(shown)+`"`; !tt.match && got != want {
					t.Errorf("If-Match %s, want %s", got, want)
				}
				checkPatch(t, r.Body, shown-1)
				if patched <= tt.refused {
					w.WriteHeader(http.StatusPreconditionFailed)
					_, _ = io.WriteString(w, `{"error":"conflict","code":"conflict","name":"a","revision":"`+revision(shown)+`"}`)
					return
				}
				_, _ = io.WriteString(w, `{"outcome":"published","attachment":{"outcome":"skipped"},`+item+"}")
			}))
			defer server.Close()
			yes := true
			change := entry.Change{
				Set: map[string]string{"version": "2", "description": ""}, Bootc: &yes, AddTags: []string{"qa"}, RemoveTags: []string{"old"},
				SetLabels: map[string]string{"k": "v"}, RemoveLabels: []string{"x"}, Targets: []entry.TargetChange{{Name: "rpi4", Verified: &yes}},
			}
			options := catalog.EditOptions{}
			if tt.match {
				options.Match = digest.Digest(revision(9))
			}
			result, err := newClient(t, server.URL, client.Options{}).Edit(t.Context(), "a", change, options)
			if !errors.Is(err, tt.want) || patched != tt.asked || err == nil && result.Outcome != catalog.Published {
				t.Errorf("%+v, %v after %d patches; want %v after %d", result, err, patched, tt.want, tt.asked)
			}
			conflict, isConflict := errors.AsType[*catalog.ConflictError](err)
			if tt.want != nil && (!isConflict || conflict.Revision == "") {
				t.Errorf("%v does not say which revision is live", err)
			}
		})
	}
}

// checkPatch checks the patch of an edit against what the item showed.
func checkPatch(t *testing.T, body io.Reader, shown int) {
	t.Helper()
	var patch map[string]any
	if err := json.NewDecoder(body).Decode(&patch); err != nil {
		t.Error(err)
	}
	want := map[string]any{
		"tags": []any{fmt.Sprintf("t%d", shown), "qa"}, "version": "2", "description": nil, "bootc": true,
		"labels": map[string]any{"k": "v", "x": nil}, "targets": []any{map[string]any{"name": "rpi4", "verified": true}},
	}
	if diff := cmp.Diff(want, patch); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}
