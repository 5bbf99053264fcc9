package registry

import (
	"net/http"
	"strings"
	"testing"
)

// A small blob is one request where the registry takes that, and two where it does
// not; what one does is remembered.
func TestBlobsByOnePost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request) bool // to the first POST, apart from the registry's own
		first  []string                                          // requests for one blob
		second []string                                          // for another one
	}{
		{"taken", func(http.ResponseWriter, *http.Request) bool { return false }, []string{"POST digest"}, []string{"POST digest"}},
		{"an upload is begun", nil, []string{"POST digest", "PUT"}, []string{"POST", "PUT"}},
		{"refused", func(w http.ResponseWriter, _ *http.Request) bool {
			answer(w, http.StatusBadRequest, "application/json", `{"errors":[{"code":"UNSUPPORTED"}]}`)
			return true
		}, []string{"POST digest", "POST", "PUT"}, []string{"POST", "PUT"}},
		{"taken by somebody else", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusCreated)
			return true
		}, []string{"POST digest", "POST", "PUT"}, []string{"POST", "PUT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			registry := inProcess(t, true)
			s := before(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
				if tt.answer != nil && r.URL.Query().Has("digest") && r.Method == http.MethodPost {
					return tt.answer(w, r)
				}
				forward(t, w, inTwoSteps(r), registry)
				return true
			})
			client := clientOf(t)
			asked := 0
			for i, want := range [][]string{tt.first, tt.second} {
				repository, err := client.Open(Reference{Registry: s.host, Repository: []string{"team/a", "team/b"}[i]})
				if err != nil {
					t.Fatal(err)
				}
				blob := []byte{'b', byte(i)}
				d := describe("application/x", blob)
				if err := repository.PushBlob(t.Context(), d, blob); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, request := range s.requests()[asked:] {
					method, uri, _ := strings.Cut(request, " ")
					if strings.Contains(uri, "digest=") && method == http.MethodPost {
						method += " digest"
					}
					got = append(got, method)
				}
				if strings.Join(got, ", ") != strings.Join(want, ", ") {
					t.Errorf("blob %d: %v, want %v", i+1, got, want)
				}
				if back, err := repository.Blob(t.Context(), d); err != nil || string(back) != string(blob) {
					t.Errorf("blob %d: %q, %v", i+1, back, err)
				}
				asked = len(s.requests())
			}
		})
	}
}

func clientOf(t *testing.T) *Client {
	t.Helper()
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	return client
}
