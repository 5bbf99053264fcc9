package registry

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// Keys are those of docker and of podman; the longest that fits decides, and a
// key serves nothing beside its path.
func TestKeys(t *testing.T) {
	const hub = "https://index.docker.io/v1/"
	for _, tt := range []struct {
		name       string
		keys       []string
		host, path string
		want       string
	}{
		{"the host", []string{"r.example.com"}, "r.example.com", "team/image", "r.example.com"},
		{"another host", []string{"r.example.com"}, "s.example.com", "team/image", ""},
		{"another port", []string{"r.example.com"}, "r.example.com:5000", "team/image", ""},
		{"the same port", []string{"r.example.com:5000", "r.example.com"}, "r.example.com:5000", "team/image", "r.example.com:5000"},
		{"a longer host", []string{"example.com", "r.example.co"}, "r.example.com", "team/image", ""},
		{"the namespace", []string{"r.example.com", "r.example.com/team"}, "r.example.com", "team/image", "r.example.com/team"},
		{"the repository", []string{"r.example.com/team", "r.example.com/team/image"}, "r.example.com", "team/image", "r.example.com/team/image"},
		{"deeper", []string{"r.example.com/team", "r.example.com/team/a/b"}, "r.example.com", "team/a/image", "r.example.com/team"},
		{"another namespace", []string{"r.example.com/team"}, "r.example.com", "other/image", ""},
		{"a namespace that begins alike", []string{"r.example.com/team"}, "r.example.com", "teams/image", ""},
		{"a repository below", []string{"r.example.com/team/image/x"}, "r.example.com", "team/image", ""},
		{"docker's old key", []string{"https://r.example.com/v1/"}, "r.example.com", "team/image", "https://r.example.com/v1/"},
		{"an old key without TLS", []string{"http://r.example.com"}, "r.example.com", "team/image", "http://r.example.com"},
		{"the plain key before the old one", []string{"https://r.example.com/v1/", "r.example.com"}, "r.example.com", "team/image", "r.example.com"},
		{"two old keys", []string{"https://r.example.com/v1/", "http://r.example.com"}, "r.example.com", "team/image", "http://r.example.com"},
		{"an old key with a path", []string{"https://r.example.com/other"}, "r.example.com", "team/image", ""},
		{"a namespace called v1", []string{"r.example.com/v1"}, "r.example.com", "team/image", ""},
		{"Docker Hub", []string{hub}, "docker.io", "library/image", hub},
		{"Docker Hub by another name", []string{"docker.io/library"}, "registry-1.docker.io", "library/image", "docker.io/library"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auths := map[string]any{}
			for _, key := range tt.keys {
				auths[key] = map[string]string{"username": "for " + key, "password": "s3cr3t"}
			}
			text, err := json.Marshal(map[string]any{"auths": auths})
			if err != nil {
				t.Fatal(err)
			}
			path := writeFile(t, filepath.Join(t.TempDir(), "auth.json"), string(text), 0o600)
			find, err := openAuthFile(path, true)
			if err != nil {
				t.Fatal(err)
			}
			want := Account{}
			if tt.want != "" {
				want = Account{Username: "for " + tt.want, Password: "s3cr3t", Source: fmt.Sprintf("%s (%s)", path, tt.want)}
			}
			got, err := find(t.Context(), tt.host, tt.path)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestKindsOfAccounts(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "auth.json"), `{"auths":{
		"auth":{"auth":"`+basic("me", "s3:cr3t")+`"}, "plain":{"username":"me","password":"s3cr3t"},
		"identity":{"auth":"`+basic("me", "")+`","identitytoken":"t0ken"}, "registry":{"registrytoken":"t0ken"}, "empty":{},
		"nuls":{"auth":"`+basic("me", "s3cr3t\x00\x00")+`"}}}`, 0o600)
	find, err := openAuthFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]Account{
		"auth": {Username: "me", Password: "s3:cr3t"}, "plain": {Username: "me", Password: "s3cr3t"},
		"identity": {Username: "me", IdentityToken: "t0ken"}, "registry": {RegistryToken: "t0ken"}, "empty": {},
		"nuls": {Username: "me", Password: "s3cr3t"},
	} {
		if !want.anonymous() {
			want.Source = path + " (" + host + ")"
		}
		got, err := find(t.Context(), host, "team/image")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", host, err, diff)
		}
		text, err := json.Marshal(got)
		shown := fmt.Sprintf("%v %+v %#v %s %s", got, got, got, got, text)
		if err != nil || strings.Contains(shown, "cr3t") || strings.Contains(shown, "t0ken") {
			t.Errorf("%s: %v shows %s", host, err, shown)
		}
	}
}

// What cannot be read is an error that quotes nothing of it.
func TestBrokenAuthFiles(t *testing.T) {
	for name, text := range map[string]string{
		"no base64":       `{"auths":{"r.example.com":{"auth":"s3cr3t!"}}}`,
		"no password":     `{"auths":{"r.example.com":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("s3cr3t")) + `"}}}`,
		"another type":    `{"auths":{"r.example.com":{"auth":s3cr3t}}}`,
		"a number":        `{"auths":{"r.example.com":{"password":33333333333333333333333333}}}`,
		"cut":             `{"auths":{"r.example.com":{"auth":"s3cr3t`,
		"a path as store": `{"credsStore":"../s3cr3t"}`,
	} {
		path := writeFile(t, filepath.Join(t.TempDir(), "auth.json"), text, 0o600)
		find, err := openAuthFile(path, false)
		if err == nil {
			_, err = find(t.Context(), "r.example.com", "team/image")
		}
		if kind(err) != "invalid" || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "33333") ||
			(strings.Contains(err.Error(), "s3cr3t") && name != "a path as store") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A login that is stored later is found.
func TestAuthFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	find, err := openAuthFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := find(t.Context(), "r.example.com", "team/image"); err != nil || !got.anonymous() {
		t.Fatalf("%v, %v", got, err)
	}
	writeFile(t, path, `{"auths":{"r.example.com":{"username":"me","password":"s3cr3t"}}}`, 0o600)
	if got, err := find(t.Context(), "r.example.com", "team/image"); err != nil || got.Username != "me" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestKeychains(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	writeFile(t, first, `{"auths":{"a.example.com":{"username":"first","password":"x"}}}`, 0o600)
	writeFile(t, second, `{"auths":{"a.example.com/team":{"username":"second","password":"x"},"b.example.com":{"username":"second","password":"x"}}}`, 0o600)
	var all []keychain
	for _, path := range []string{first, second} {
		find, err := openAuthFile(path, true)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, find)
	}
	all = append(all, serviceAccount(writeFile(t, filepath.Join(dir, "token"), " t0ken\n", 0o600), "b.example.com", "c.example.com"))
	find := firstOf(all...)
	for host, want := range map[string]string{
		"a.example.com": "first from " + first + " (a.example.com)",
		"b.example.com": "second from " + second + " (b.example.com)",
		"c.example.com": "serviceaccount from service-account token " + filepath.Join(dir, "token"),
		"d.example.com": "anonymous",
	} {
		if got, err := find(t.Context(), host, "team/image"); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", host, got, err, want)
		}
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if got, err := find(t.Context(), "b.example.com", "team/image"); kind(err) != "invalid" {
		t.Errorf("after a source that fails: %v, %v", got, err)
	}
}

// A token that rotates is read again when the registry no longer takes the old
// one.
func TestServiceAccountTokenRotates(t *testing.T) {
	token := "first-t0ken"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "serviceaccount" || password != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
	path := writeFile(t, filepath.Join(t.TempDir(), "token"), token+"\n", 0o600)
	options := quick()
	options.Credentials = serviceAccount(path, s.host)
	repository := open(t, s.host, options)
	for _, next := range []string{token, "second-t0ken"} {
		token = next
		writeFile(t, path, next, 0o600)
		if _, err := repository.Tags(t.Context()); err != nil {
			t.Errorf("with %s: %v", next, err)
		}
	}
	writeFile(t, path, "stale-t0ken", 0o600)
	token = "third-t0ken"
	_, err := repository.Tags(t.Context())
	if kind(err) != "unauthorized" || !strings.Contains(err.Error(), "(as serviceaccount from service-account token "+path+")") {
		t.Errorf("a stale token: %v", err)
	}
	for _, broken := range []func() error{func() error { return os.Truncate(path, 0) }, func() error { return os.Remove(path) }} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		_, err = repository.Tags(t.Context())
		if kind(err) != "unauthorized" || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), s.host) {
			t.Errorf("without a token: %v", err)
		}
	}
}
