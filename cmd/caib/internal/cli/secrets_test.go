package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	plantedPassword = "pa55word/of_Alice+"
	plantedIdentity = "1dentity-token_of.Alice"
	plantedToken    = "acce55-token_of.Alice"
	plantedService  = "5ervice-account-token_of.Alice"
	plantedProxy    = "pr0xy-password"
)

// planted finds a secret in a text: in any case, encoded or as it is, or the
// beginning of one.
func planted(text string) string {
	fold := func(text string) string { return strings.ToLower(strings.ReplaceAll(text, "_", " ")) }
	for _, secret := range []string{
		plantedPassword, plantedIdentity, plantedToken, plantedService, plantedProxy,
		base64.StdEncoding.EncodeToString([]byte("alice:" + plantedPassword)),
		base64.StdEncoding.EncodeToString([]byte("serviceaccount:" + plantedService)),
		base64.StdEncoding.EncodeToString([]byte("alice:" + plantedProxy)),
	} {
		if strings.Contains(fold(text), fold(secret[:9])) {
			return secret
		}
	}
	return ""
}

// sentBy is what a request says of its sender.
func sentBy(r *http.Request) string {
	user, password, _ := r.BasicAuth()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10))
	form, _ := url.ParseQuery(string(body))
	return strings.TrimSpace(strings.Join([]string{r.Header.Get("Authorization"), user, password, form.Get("refresh_token")}, " "))
}

// hostile are registries that let nobody in, and repeat what they were sent.
var hostile = map[string]func(w http.ResponseWriter, r *http.Request){
	"refuses politely": func(w http.ResponseWriter, r *http.Request) { deny(w, http.StatusForbidden, "DENIED", "no") },
	"repeats it in its errors": func(w http.ResponseWriter, r *http.Request) {
		said := sentBy(r)
		deny(w, http.StatusForbidden, said, said)
	},
	"asks for another login": func(w http.ResponseWriter, r *http.Request) {
		said := sentBy(r)
		w.Header().Set("WWW-Authenticate", `Basic realm="`+said+`"`)
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", said)
	},
	"redirects with it": func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/there") {
			deny(w, http.StatusForbidden, "DENIED", "no")
			return
		}
		said := sentBy(r)
		w.Header().Set("Location", "/there/"+url.PathEscape(said)+"?token="+url.QueryEscape(said))
		w.WriteHeader(http.StatusTemporaryRedirect)
	},
	"is no JSON": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, sentBy(r)) },
	"is not well": func(w http.ResponseWriter, r *http.Request) {
		deny(w, http.StatusNotImplemented, "UNSUPPORTED", sentBy(r))
	},
}

func deny(w http.ResponseWriter, status int, code, message string) {
	text, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": code, "message": message, "detail": message}}})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// challenged lets requests through that log in, in one of the ways there are.
func challenged(f *fake, way string, inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && strings.HasSuffix(way, "service"):
			inside.ServeHTTP(w, r)
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"token":%q,"access_token":%q,"refresh_token":%q}`, plantedToken, plantedToken, plantedIdentity)
		case r.Header.Get("Authorization") != "" || strings.HasPrefix(r.URL.Path, "/there"):
			inside.ServeHTTP(w, r)
		default:
			challenge := `Basic realm="r"`
			if way != "basic" {
				challenge = `Bearer realm="http://` + f.host + `/token",service="s"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// world of planted secrets: files of logins, by what they are called.
func plant(t *testing.T, host string) (env map[string]string, logins map[string]string) {
	t.Helper()
	env = homeEnv(t)
	dir := env["HOME"]
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("config/caib/config.yaml", fmt.Sprintf("service-account: {hosts: [%q], token-file: %q}\n", host, write("token", plantedService+"\n")))
	env["HTTPS_PROXY"] = "http://alice:" + plantedProxy + "@proxy.example.com:3128"
	env["HTTP_PROXY"] = env["HTTPS_PROXY"]
	encoded := base64.StdEncoding.EncodeToString([]byte("alice:" + plantedPassword))
	return env, map[string]string{
		"password":        write("password.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, encoded)),
		"identity token":  write("identity.json", fmt.Sprintf(`{"auths":{%q:{"identitytoken":%q}}}`, host, plantedIdentity)),
		"access token":    write("access.json", fmt.Sprintf(`{"auths":{%q:{"registrytoken":%q}}}`, host, plantedToken)),
		"service account": write("none.json", `{}`),
		"broken":          write("broken.json", fmt.Sprintf(`{"auths":{%q:{"auth":"%s!"}}}`, host, plantedPassword)),
	}
}

// everyVerb is every command that uses settings.
func everyVerb(host string) [][]string {
	catalog, image := "--catalog="+host+"/team/catalog", host+"/team/image:1"
	return [][]string{
		{"catalog", "list", catalog}, {"catalog", "get", "x", catalog}, {"catalog", "history", catalog},
		{"catalog", "publish", image, catalog}, {"catalog", "add", "y", image, catalog}, {"catalog", "remove", "x", "--force", catalog},
		{"catalog", "login-check", image, "--push"}, {"config", "view", catalog},
	}
}

// No secret that caib knows is printed by any verb, however loud, and whatever
// a registry does with it.
func TestNoSecretIsPrinted(t *testing.T) {
	for name, behaves := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0 // each takes the next way to be loud
			loudness := [][]string{{"--verbose"}, {"--verbose", "-o", "json"}, {"--quiet", "-o", "yaml"}}
			for _, way := range []string{"basic", "bearer", "token service"} {
				f := &fake{}
				f.start(challenged(f, way, http.HandlerFunc(behaves)), false)
				t.Cleanup(f.server.Close)
				env, logins := plant(t, f.host)
				for login, file := range logins {
					for _, verb := range everyVerb(f.host) {
						runs++
						args := slices.Concat(verb, []string{"--authfile", file, "--timeout", "200ms"}, loudness[runs%len(loudness)])
						code, stdout, stderr := run(t, env, args...)
						if found := planted(stdout + stderr); found != "" || (code == 0 && verb[0] == "catalog") {
							t.Errorf("%s, with %s: %v: exit code %d, shows %q:\n%s%s", way, login, args, code, found, stdout, stderr)
						}
					}
				}
			}
		})
	}
}

// writes keeps all that a registry is sent to store.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) keep(inside http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		w.mu.Lock()
		fmt.Fprintf(&w.text, "%s %s\n%s\n", r.Method, r.URL, body)
		w.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		inside.ServeHTTP(response, r)
	})
}

// Nor when all is well, neither on the screen nor in what is stored.
func TestNoSecretIsStored(t *testing.T) {
	for _, way := range []string{"basic", "bearer"} {
		f, w := &fake{}, &written{}
		f.start(challenged(f, way, w.keep(newRegistry(false))), false)
		t.Cleanup(f.server.Close)
		env, logins := plant(t, f.host)
		client, err := registry.New(registry.Options{ServiceAccountHosts: []string{f.host}, ServiceAccountToken: filepath.Join(env["HOME"], "token")})
		if err != nil {
			t.Fatal(err)
		}
		to, err := client.Open(registry.Reference{Registry: f.host, Repository: "team/image"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := samples.Bootc(t.Context(), to, "1", samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}}); err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, login := range []string{"password", "service account"} {
			files = append(files, logins[login])
		}
		for n, file := range files {
			catalog := fmt.Sprintf("%s/team/catalog%d", f.host, n)
			for _, verb := range [][]string{
				{"publish", f.host + "/team/image:1", "--name", "x"}, {"list"}, {"get", "x"}, {"history"}, {"remove", "x", "--force"},
				{"add", "y", f.host + "/team/image:1"}, {"login-check", f.host + "/team/image:1", "--push"},
			} {
				args := append([]string{"catalog"}, append(verb, "--catalog", catalog, "--authfile", file, "--verbose")...)
				code, stdout, stderr := run(t, maps.Clone(env), args...)
				if found := planted(stdout + stderr); found != "" || code != 0 {
					t.Errorf("%s: %v: exit code %d, shows %q:\n%s%s", way, verb, code, found, stdout, stderr)
				}
			}
		}
		if text := w.text.String(); planted(text) != "" || !strings.Contains(text, "entry.v1+json") {
			t.Errorf("%s: the registry stores %q", way, planted(text))
		}
	}
}
