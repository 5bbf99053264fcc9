package registry

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"testing"
)

// D21: spellings of one registry have one form, and different registries none
// in common.
func TestNormalHost(t *testing.T) {
	for _, tt := range []struct {
		want      string
		spellings []string
	}{
		{"docker.io", []string{"docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "docker.io:443", "INDEX.docker.io.", "registry.hub.docker.com"}},
		{"registry.example.com", []string{"registry.example.com", "Registry.Example.com", "registry.example.com:443", "registry.example.com.", "registry.example.com:0443"}},
		{"registry.example.com:80", []string{"registry.example.com:80"}},
		{"registry.example.com:5000", []string{"registry.EXAMPLE.com:5000", "registry.example.com.:5000"}},
		{"localhost", []string{"LOCALHOST", "localhost:80"}},
		{"localhost:443", []string{"localhost:443"}},
		{"localhost:5000", []string{"LOCALHOST:5000", "localhost:5000"}},
		{"127.0.0.1:5000", []string{"127.0.0.1:5000"}},
		{"[::1]:5000", []string{"[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"}},
		{"[::1]", []string{"[::1]", "[::1]:80", "[0::1]"}},
		{"docker.io:5000", []string{"docker.io:5000"}},
		{"notdocker.io", []string{"notdocker.io"}},
	} {
		for _, spelling := range tt.spellings {
			if got := NormalHost(spelling); got != tt.want {
				t.Errorf("%s: %s, want %s", spelling, got, tt.want)
			}
			if again := NormalHost(NormalHost(spelling)); again != tt.want {
				t.Errorf("%s: the form of the form is %s", spelling, again)
			}
		}
	}
}

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

func TestMatchRepository(t *testing.T) {
	for _, tt := range []struct {
		pattern, repository string
		want                bool
	}{
		{"Registry.example.com:443/team/*", "registry.example.com/team/a", true},
		{"registry.example.com/team/*", "REGISTRY.example.com.:443/team/a", true},
		{"registry.example.com/team/*", "registry.example.com:5000/team/a", false},
		{"index.docker.io/team/**", "docker.io/team/a/b", true},
		{"docker.io/nginx", "registry-1.docker.io/library/nginx", true},
		{"docker.io/ngi*", "docker.io/nginx", true},
		{"docker.io/*", "docker.io/team/nginx", false},
		{"docker.io/**", "docker.io/team/nginx", true},
		{"*.EXAMPLE.com:443/x", "a.example.com/x", true},
		{"*.example.com:443/x", "a.example.com:5000/x", false},
		{"*.example.com:*/x", "a.example.com/x", true},
		{"*.localhost:80/x", "a.localhost/x", true},
		{"LOCALHOST:5000/a", "localhost:5000/a", true},
		{"**", "localhost:5000/a", true},
		{"**/catalog", "localhost:5000/a/catalog", true},
		{"oci:/A/*", "oci:/A/b", true},
		{"oci:/A/*", "oci:/a/b", false},
		{"", "oci:/a", true},
	} {
		if got := MatchRepository(tt.pattern, tt.repository); got != tt.want {
			t.Errorf("%q, %s: %t, want %t", tt.pattern, tt.repository, got, tt.want)
		}
	}
}

func FuzzNormalHost(f *testing.F) {
	for _, host := range []string{"a:443", "[::1]:80", "docker.io", "LOCALHOST", "a.:b", ":", "[", "::", "a:00443", "]:", "[]:", "[[::1]]", "[127.0.0.1]", "a..", "K:443", "a:0", "a:65536", "[::ffff:127.0.0.1]:80", "[fe80::1%eth0]"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		once := NormalHost(host)
		if ref, err := ParseReference(host + "/a"); err == nil && ref.Registry == host {
			if _, err := ParseReference(once + "/a"); err != nil {
				t.Errorf("%q is a host, and its form %q is none", host, once)
			}
		}
		if again := NormalHost(once); again != once {
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
	_, port, _ := splitHost(s.host)
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

// A host that has the default port of the other scheme keeps it.
func TestRequestHost(t *testing.T) {
	for _, tt := range []struct {
		host  string
		plain bool
		want  string
	}{
		{"index.docker.io", false, "registry-1.docker.io"}, {"docker.io", false, "registry-1.docker.io"},
		{"R.example.com:443", false, "r.example.com"}, {"r.example.com:443", true, "r.example.com:443"},
		{"r.example.com:80", false, "r.example.com:80"}, {"r.example.com:80", true, "r.example.com"},
		{"localhost:443", true, "localhost:443"}, {"[0::1]:80", true, "[::1]"}, {"r.example.com.", false, "r.example.com"},
	} {
		if got := requestHost(tt.host, tt.plain); got != tt.want {
			t.Errorf("%s, without TLS %t: %s, want %s", tt.host, tt.plain, got, tt.want)
		}
	}
}
