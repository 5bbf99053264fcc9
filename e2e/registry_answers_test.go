package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Answers that are none: exit 8 and no list, and a path that is wrong or a
// registry that takes no writes is named as that.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	tags := faultproxy.On("GET", "/tags/list")
	for name, tt := range map[string]struct {
		do            faultproxy.Action
		readOnly      bool
		list, publish int
		says          string
	}{
		"a message for a list":         {faultproxy.Action{Status: 200, Body: `{"message":"Forbidden"}`}, false, 8, 8, "tags"},
		"errors for a list":            {faultproxy.Action{Status: 200, Body: `{"errors":[{"code":"DENIED"}]}`}, false, 8, 8, "errors"},
		"nothing for a list":           {faultproxy.Action{Status: 200, Body: `{}`}, false, 8, 8, "tags"},
		"a page that is not found":     {faultproxy.Action{Status: 404, Body: "<html>no</html>", Type: "text/html"}, false, 8, 8, "404"},
		"a repository that is hidden":  {faultproxy.Action{Status: 404, Body: `{"errors":[{"code":"DENIED","detail":{"description":"frozen"}}]}`}, false, 3, 3, "denied: description frozen"},
		"a registry that is read-only": {faultproxy.Action{}, true, 0, 3, "read-only, or a cache"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := behind(t, "ggcr", faultproxy.Faults{})
			image := w.push("image", "1", "arm64")
			faults := faultproxy.Faults{ReadOnly: tt.readOnly}
			if !tt.readOnly {
				faults.Rules = []*faultproxy.Rule{{Match: tags, Do: tt.do}}
			}
			proxy.Set(faults)
			list := w.exits(tt.list, "catalog", "list")
			publish := w.exits(tt.publish, "catalog", "publish", image)
			if !strings.Contains(publish.Stderr, tt.says) || list.Stdout != "" || strings.Contains(publish.Stderr, "map[") {
				t.Errorf("list says %s%s, want no entries; publish says %s, want %q", list.Stdout, list.Stderr, publish.Stderr, tt.says)
			}
		})
	}
}

// A namespace that does not exist, as Gitea says it.
func TestWrongNamespace(t *testing.T) {
	t.Parallel()
	w, proxy := behind(t, "ggcr", faultproxy.Faults{})
	image := w.push("image", "1", "arm64")
	proxy.Set(faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("", "/team/catalog/"), Do: faultproxy.Action{Status: 404, Body: "Not found.\n", Type: "text/plain"}}}})
	w.exits(8, "catalog", "list")
	if result := w.exits(4, "catalog", "publish", image); !strings.Contains(result.Stderr, "check the path") {
		t.Errorf("publish says %s, want a hint at the path", result.Stderr)
	}
}

// What is not supported is named, and asked for once.
func TestManifestsOfSchema1(t *testing.T) {
	t.Parallel()
	w, proxy := behind(t, "ggcr", faultproxy.Faults{})
	image := w.push("image", "1", "arm64")
	body := `{"schemaVersion":1,"name":"os/image","tag":"1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[{}]}`
	proxy.Set(faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/os/image/manifests/"), Do: faultproxy.Action{
		Status: 200, Body: body, Type: "application/vnd.docker.distribution.manifest.v1+prettyjws"}}}})
	result := w.exits(9, "catalog", "publish", image)
	asked := slices.DeleteFunc(proxy.Requests(), func(r string) bool { return !strings.HasPrefix(r, "GET /v2/os/image/manifests/") })
	if !strings.Contains(result.Stderr, "schema 1") || len(asked) != 1 {
		t.Errorf("publish says %s after %q, want schema 1 after one request", result.Stderr, asked)
	}
}

// guarded puts a proxy before a registry that wants a login.
func guarded(t *testing.T, handler http.Handler, faults faultproxy.Faults) (*login, *faultproxy.Proxy) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	proxy := faultproxy.New(t, strings.TrimPrefix(server.URL, "http://"), faults)
	return loginAt(t, proxy.Host), proxy
}

// htpasswd behind a proxy that offers Negotiate too, in a header of its own or
// in the same; and one that hides from strangers what there is.
func TestChallengesOfOthers(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]faultproxy.Faults{
		"Negotiate":                  {Challenges: []string{"Negotiate"}},
		"Negotiate in one header":    {Challenges: []string{"Negotiate", `Digest realm="d", qop="auth,auth-int"`}, OneHeader: true},
		"a token service of nowhere": {Challenges: []string{`Bearer realm="/nowhere"`}},
		"hidden from strangers":      {Strangers404: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := guarded(t, htpasswd(t, map[string]string{"alice": alicePassword}), faults)
			l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
			image := l.push("os/autosd", "alice", alicePassword, registry.Options{})
			l.exits(0, "catalog", "publish", image)
			says(t, l.exits(0, "catalog", "list"), "autosd")
			says(t, l.exits(0, "catalog", "login-check", image, "--push"), "alice", "ok")
			l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", bobPassword}})
			says(t, l.exits(3, "catalog", "list"), "as alice")
		})
	}
}

// A challenge whose scope is another than ours costs no request more than one
// whose scope is ours.
func TestTokensForAnotherScope(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	for _, scope := range []string{"", "*", "registry:catalog:*"} {
		tokens := registries.NewTokens(t, map[string]registries.User{"alice": {Password: alicePassword, May: []string{"pull", "push"}}})
		l, proxy := guarded(t, tokens.Distribution3(t), faultproxy.Faults{Scope: scope})
		l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
		image := l.push("os/autosd", "alice", alicePassword, registry.Options{})
		l.exits(0, "catalog", "publish", image)
		proxy.Requests()
		result := tools.Run(t, l.env, tools.Caib(t), "catalog", "verify", "--all")
		if result.Code != 0 {
			t.Fatalf("verify: %s%s", result.Stdout, result.Stderr)
		}
		counts[scope] = len(proxy.Requests())
	}
	if counts["*"] > counts[""] || counts["registry:catalog:*"] > counts[""] {
		t.Errorf("requests by scope: %v", counts)
	}
}

// skopeo's login is found where skopeo puts it: in a session, and without one.
func TestLoginOfSkopeo(t *testing.T) {
	skopeo := tools.Debian(t, "skopeo", "skopeo")
	for _, session := range []bool{true, false} {
		t.Run(fmt.Sprintf("session %t", session), func(t *testing.T) {
			l := newLogin(t, htpasswd(t, map[string]string{"alice": alicePassword}))
			if session {
				dir := filepath.Join(l.home, "run")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				l.env = append(l.env, "XDG_RUNTIME_DIR="+dir)
			} else if err := os.MkdirAll(fmt.Sprintf("/run/containers/%d", os.Getuid()), 0o700); err != nil {
				t.Skipf("skopeo cannot keep a login here: %v", err)
			}
			run := func(args ...string) {
				t.Helper()
				if result := tools.Run(t, l.env, skopeo, args...); result.Code != 0 {
					t.Fatalf("skopeo %s: %s", args[0], result.Stderr)
				}
			}
			run("login", "--tls-verify=false", "-u", "alice", "-p", alicePassword, l.host)
			t.Cleanup(func() { tools.Run(t, l.env, skopeo, "logout", l.host) })
			l.exits(0, "catalog", "list")
			run("logout", l.host)
			says(t, l.exits(3, "catalog", "list"), "anonymous")
		})
	}
}

// A helper that is not installed is no reason not to use what is there.
func TestLoginBesideABrokenHelper(t *testing.T) {
	t.Parallel()
	l := newLogin(t, htpasswd(t, map[string]string{"alice": alicePassword}))
	entry := base64.StdEncoding.EncodeToString([]byte("alice:" + alicePassword))
	l.write(".docker/config.json", fmt.Sprintf(`{"credsStore":"e2e-missing","auths":{%q:{"auth":%q}}}`, l.host, entry))
	result := tools.Run(t, l.env, tools.Caib(t), "catalog", "list")
	if result.Code != 0 || strings.Count(result.Stderr, "warning: credential helper docker-credential-e2e-missing") != 1 {
		t.Errorf("exit code %d: %s", result.Code, result.Stderr)
	}
	public := registries.GGCR(t, true)
	l.write(".docker/config.json", `{"credsStore":"e2e-missing"}`)
	if result := tools.Run(t, l.env, tools.Caib(t), "catalog", "list", "--catalog", public.Host+"/team/catalog"); result.Code != 0 {
		t.Errorf("a registry that wants no login: exit code %d: %s", result.Code, result.Stderr)
	}
}

// A registry that is read-only, and one that only caches another, can be read;
// who writes to them is told what they are.
func TestRegistriesThatTakeNoWrites(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (writable, reader *world){
		"distribution read-only": func(t *testing.T) (writable, reader *world) {
			dir := t.TempDir()
			serve := func(readOnly bool) *world {
				handler := registries.Distribution3With(dir, func(c *configuration.Configuration) {
					c.Storage["maintenance"]["readonly"] = map[any]any{"enabled": readOnly}
				})
				server := httptest.NewServer(handler)
				t.Cleanup(server.Close)
				return newWorld(t, at(strings.TrimPrefix(server.URL, "http://"), "distribution-3.1", false))
			}
			return serve(false), serve(true)
		},
		"distribution as a cache": func(t *testing.T) (writable, reader *world) {
			upstream := registries.Distribution3(t, true)
			handler := registries.Distribution3With(t.TempDir(), func(c *configuration.Configuration) {
				c.Proxy.RemoteURL = "http://" + upstream.Host
			})
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			return newWorld(t, at(upstream.Host, "distribution-3.1", false)), newWorld(t, at(strings.TrimPrefix(server.URL, "http://"), "cache", false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			writable, reader := start(t)
			image := writable.push("autosd", "1", "arm64")
			writable.ok("catalog", "publish", image)
			if result := reader.ok("catalog", "list", "-o", "name"); strings.TrimSpace(result.Stdout) != "autosd" {
				t.Errorf("list says %s%s, want autosd", result.Stdout, result.Stderr)
			}
			other := reader.on.image("autosd") + image[strings.LastIndex(image, ":"):]
			result := reader.exits(3, "catalog", "publish", other, "--name", "second")
			if !strings.Contains(result.Stderr, "read-only, or a cache") {
				t.Errorf("publish says %s, want that it is read-only, or a cache", result.Stderr)
			}
		})
	}
}
