package registry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testwait"
)

// beginsWith answers the first requests that mount with a status.
func beginsWith(status int) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Query().Get("from") == "" {
			return false
		}
		w.Header().Set("Location", "/v2/team/image/blobs/uploads/mounting")
		w.WriteHeader(status)
		return true
	}
}

// A registry takes a blob over from another of its repositories. Where it does not,
// whatever it says, the blob is sent.
func TestMount(t *testing.T) {
	blob := noise(streamed)
	d := describe("application/x", blob)
	for _, tt := range []struct {
		name  string
		quirk func(http.ResponseWriter, *http.Request, int) bool
		moved int64
		asked string
	}{
		{"mounted", nil, 0, "HEAD POST<lib/base HEAD"},
		{"not mounted", beginsWith(202), streamed, "HEAD POST<lib/base GET PUT"},
		{"said to be mounted", beginsWith(201), streamed, "HEAD POST<lib/base HEAD HEAD POST GET PUT"},
		{"refused", beginsWith(403), streamed, "HEAD POST<lib/base POST GET PUT"},
		{"unknown", beginsWith(404), streamed, "HEAD POST<lib/base POST GET PUT"},
		{"not allowed", beginsWith(405), streamed, "HEAD POST<lib/base POST GET PUT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			depot := newDepot(t)
			depot.put("lib/base", blob)
			depot.quirk = tt.quirk
			client, err := New(quick())
			if err != nil {
				t.Fatal(err)
			}
			from, to := openPath(t, client, depot.host, "lib/base"), openPath(t, client, depot.host, "team/image")
			moved, err := to.CopyBlob(t.Context(), d, &wrapping{from})
			if err != nil || moved != tt.moved || !depot.has("team/image", d.Digest) {
				t.Errorf("got %d moved, %v, want %d", moved, err, tt.moved)
			}
			if diff := cmp.Diff(tt.asked, strings.ReplaceAll(depot.requests(), "PUT GET", "GET PUT")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wrapping is a repository that another one is read through.
type wrapping struct{ Repository }

func (w *wrapping) Unwrap() Repository { return w.Repository }

// What a registry refuses to mount from a repository is not asked for again.
func TestMountRefusedOnce(t *testing.T) {
	depot := newDepot(t)
	depot.quirk = beginsWith(401)
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	from, to := openPath(t, client, depot.host, "lib/base"), openPath(t, client, depot.host, "team/image")
	for n := range 3 {
		blob := fmt.Appendf(nil, "blob %d", n)
		depot.put("lib/base", blob)
		if moved, err := to.CopyBlob(t.Context(), describe("application/x", blob), from); err != nil || moved != 6 {
			t.Errorf("blob %d: got %d moved, %v", n, moved, err)
		}
	}
	if asked := depot.requests(); strings.Count(asked, "<") != 1 {
		t.Errorf("asked %q, want that it is asked to mount once", asked)
	}
}

// A token for mounting is for both repositories, and the same for all blobs.
func TestMountScope(t *testing.T) {
	depot := newDepot(t)
	var mu sync.Mutex
	var scopes []string
	depot.quirk = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		granted := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), " ")
		if r.URL.Path == "/token" {
			mu.Lock()
			defer mu.Unlock()
			scopes = append(scopes, strings.Join(r.URL.Query()["scope"], " "))
			token := "none"
			if strings.Contains(scopes[len(scopes)-1], "repository:lib/base:pull") {
				token = "both"
			}
			answer(w, 200, "application/json", `{"token":"`+token+`"}`)
			return true
		}
		if granted[0] == "" || r.URL.Query().Get("from") != "" && granted[0] != "both" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	from, to := openPath(t, client, depot.host, "lib/base"), openPath(t, client, depot.host, "team/image")
	expectPush(t, client, Reference{Registry: depot.host, Repository: "team/image"})
	for n := range 3 {
		blob := fmt.Appendf(nil, "blob %d", n)
		depot.put("lib/base", blob)
		if moved, err := to.CopyBlob(t.Context(), describe("application/x", blob), from); err != nil || moved != 0 {
			t.Errorf("blob %d: got %d moved, %v, want that it is mounted", n, moved, err)
		}
	}
	want := []string{"repository:team/image:pull,push", "repository:lib/base:pull repository:team/image:pull,push"}
	if diff := cmp.Diff(want, scopes); diff != "" {
		t.Error(diff)
	}
}

// Where only one request may be under way, a blob that is read from the registry that
// it is sent to gets there all the same.
func TestCopyBlobWithinOneRegistry(t *testing.T) {
	depot := newDepot(t)
	depot.quirk = beginsWith(405)
	options := quick()
	options.InFlight = 1
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	from, to := openPath(t, client, depot.host, "lib/base"), openPath(t, client, depot.host, "team/image")
	var group sync.WaitGroup
	for n := range 3 {
		blob := noise(streamed + n)
		depot.put("lib/base", blob)
		group.Go(func() {
			if _, err := to.CopyBlob(t.Context(), describe("application/x", blob), from); err != nil {
				t.Error(err)
			}
		})
	}
	testwait.Return(t, "the copies", group.Wait)
}
