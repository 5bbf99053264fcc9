package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// uploads is a registry that says how an upload begins.
func uploads(t *testing.T, begin http.HandlerFunc) *script {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			begin(w, r)
			return
		}
		answer(w, 204, "application/json", "")
	})
}

func TestCanPush(t *testing.T) {
	accepted := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			answer(w, 202, "application/json", "")
		}
	}
	status := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			answer(w, status, "application/json", `{"errors":[{"code":"DENIED","message":"the registry's words"}]}`)
		}
	}
	const begun = "POST /v2/team/image/blobs/uploads/"
	for _, tt := range []struct {
		name  string
		begin http.HandlerFunc
		want  string
		asked []string
	}{
		{"a session, which is ended", accepted("/v2/team/image/blobs/uploads/1?state=x"), "", []string{begun, "DELETE /v2/team/image/blobs/uploads/1?state=x"}},
		{"a session on another host", accepted("http://127.0.0.2:1/x"), "", []string{begun}},
		{"a session nowhere", accepted(""), "", []string{begun}},
		{"refused", status(403), "unauthorized", []string{begun}},
		{"no project", status(404), "not found", []string{begun}},
		{"read-only", status(405), "unauthorized", []string{begun}},
		{"throttled", status(429), "unreachable", []string{begun, begun, begun, begun}},
		{"another answer", status(201), "unreachable", []string{begun}},
	} {
		s := uploads(t, tt.begin)
		client, err := New(quick())
		if err != nil {
			t.Fatal(err)
		}
		err = client.canPush(t.Context(), Reference{Registry: s.host, Repository: "team/image", Tag: "t"})
		if kind(err) != tt.want || (err != nil && tt.name != "another answer" && !strings.Contains(err.Error(), "the registry's words")) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
		if diff := cmp.Diff(tt.asked, s.requests()); diff != "" {
			t.Errorf("%s: asked (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestCanPull(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/team/image/tags/list":
			answer(w, 200, "application/json", `{"tags":["t"]}`)
		case "/v2/team/image/manifests/t":
			answer(w, 200, manifest.MediaType, string(body))
		case "/v2/closed/tags/list":
			answer(w, 403, "application/json", `{}`)
		default:
			answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
		}
	})
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"team/image": "", "team/image:t": "", "team/image:u": "not found", "none": "", "closed": "unauthorized",
	} {
		ref, err := ParseReference(s.host + "/" + text)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.canPull(t.Context(), ref); kind(err) != want {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func TestAccessToLayouts(t *testing.T) {
	client, err := New(Options{Credentials: userAndPassword("me", "x")})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o777); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, filepath.Join(foreign, "file"), "x", 0o600)
	for path, want := range map[string]string{filepath.Join(dir, "new", "layout"): "", dir + "-missing": "", foreign: "invalid", filepath.Join(file, "layout"): "unreachable"} {
		ref := Reference{Layout: path}
		before := everyFile(t, dir)
		if err := client.canPush(t.Context(), ref); kind(err) != want {
			t.Errorf("push to %s: %v; want %q", path, err, want)
		}
		if diff := cmp.Diff(before, everyFile(t, dir)); diff != "" {
			t.Errorf("push to %s left something:\n%s", path, diff)
		}
		if err := client.canPull(t.Context(), ref); kind(err) != want {
			t.Errorf("pull from %s: %v; want %q", path, err, want)
		}
		if account, err := client.account(t.Context(), ref); err != nil || !account.anonymous() {
			t.Errorf("%s: %v, %v", path, account, err)
		}
	}
}

func everyFile(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
