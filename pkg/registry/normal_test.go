package registry

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/pkg/internal/normal"
)

func TestNormalReference(t *testing.T) {
	for text, want := range map[string]string{
		"docker.io/nginx:1":                         "docker.io/library/nginx:1",
		"index.docker.io/library/nginx:1":           "docker.io/library/nginx:1",
		"docker.io/team/nginx":                      "docker.io/team/nginx",
		"registry.example.com/nginx":                "registry.example.com/nginx",
		"LOCALHOST:5000/a:T":                        "localhost:5000/a:T",
		"r.example.com:443/a@" + sha256sum.String(): "r.example.com/a@" + sha256sum.String(),
		"oci:./catalog//x:1":                        "oci:catalog/x:1",
		"oci:/a/../b":                               "oci:/b",
	} {
		ref, err := ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := ref.Normal(); got.String() != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if ref.String() != text {
			t.Errorf("%s is shown as %s", text, ref)
		}
	}
}

func FuzzNormalHost(f *testing.F) {
	for _, host := range []string{"a:443", "[::1]:80", "docker.io", "LOCALHOST", "a.:b", ":", "[", "::", "a:00443", "]:", "[]:", "[[::1]]", "[127.0.0.1]", "a..", "K:443", "a:0", "a:65536", "[::ffff:127.0.0.1]:80", "[fe80::1%eth0]"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		once := normal.Host(host)
		if ref, err := ParseReference(host + "/a"); err == nil && ref.Registry == host {
			if _, err := ParseReference(once + "/a"); err != nil {
				t.Errorf("%q is a host, and its form %q is none", host, once)
			}
		}
		if again := normal.Host(once); again != once {
			t.Errorf("%q: %q, and then %q", host, once, again)
		}
	})
}

// What is asked is the registry that was meant: without TLS where that is the
// default, with the same limits, tokens and login for every spelling.
func TestSpellingsShareEverything(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "s3cr3t" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
	_, port, _ := normal.SplitHost(s.host)
	for _, key := range []string{"LOCALHOST:" + port, "localhost:" + port, "http://localhost:" + port + "/v1/"} {
		file := writeFile(t, filepath.Join(t.TempDir(), "auth.json"),
			`{"auths":{"`+key+`":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("me:s3cr3t"))+`"}}}`, 0o600)
		find, err := openAuthFile(file, true)
		if err != nil {
			t.Fatal(err)
		}
		options := quick()
		options.Credentials = find
		client, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		before := len(s.requests())
		for _, spelling := range []string{"LOCALHOST:" + port, "localhost:" + port, "LocalHost.:" + port} {
			if _, err := openPath(t, client, spelling, "team/image").Tags(t.Context()); err != nil {
				t.Errorf("%s with the login of %s: %v", spelling, key, err)
			}
		}
		if asked := len(s.requests()) - before; asked != 4 {
			t.Errorf("login of %s: %d requests, want one challenge and three lists", key, asked)
		}
	}
}
