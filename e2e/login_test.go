package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"golang.org/x/crypto/bcrypt"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	alicePassword = "pa55word/of_Alice+"
	aliceIdentity = "1dentity-token_of.Alice"
	bobPassword   = "pa55word/of_Bob+"
	proxyPassword = "pr0xy-password"
)

// login is a registry that wants one, and a user of caib.
type login struct {
	t       testing.TB
	host    string
	home    string
	env     []string
	planted []string // what no run may print
}

func newLogin(t testing.TB, handler http.Handler) *login {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return loginAt(t, strings.TrimPrefix(server.URL, "http://"))
}

func loginAt(t testing.TB, host string) *login {
	t.Helper()
	home := t.TempDir()
	l := &login{t: t, host: host, home: home, env: []string{"HOME=" + home, "CAIB_CATALOG=" + host + "/team/catalog"}}
	for user, password := range map[string]string{"alice": alicePassword, "bob": bobPassword, "proxy": proxyPassword} {
		l.planted = append(l.planted, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	l.planted = append(l.planted, aliceIdentity)
	return l
}

// write makes a file below the home directory and returns its path.
func (l *login) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// auths writes a credentials file: a user and a password under each key.
func (l *login) auths(name string, users map[string][2]string) string {
	l.t.Helper()
	auths := map[string]any{}
	for key, user := range users {
		auths[key] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user[0] + ":" + user[1]))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.write(name, string(text))
}

// exits runs caib, which must end with the given code and print no secret; and
// again, quietly or loudly, with the same outcome.
func (l *login) exits(code int, args ...string) tools.Result {
	l.t.Helper()
	var first tools.Result
	for i, loudness := range [][]string{nil, {"--verbose"}, {"--quiet", "-o", "json"}} {
		if i > 0 && slices.Contains(args, "publish") && code == 0 {
			break
		}
		result := tools.Run(l.t, l.env, tools.Caib(l.t), slices.Concat(args, loudness)...)
		if result.Code != code {
			l.t.Fatalf("caib %v %v: exit code %d, want %d\n%s%s", args, loudness, result.Code, code, result.Stdout, result.Stderr)
		}
		for _, secret := range l.planted {
			if strings.Contains(strings.ToLower(result.Stdout+result.Stderr), strings.ToLower(secret)) {
				l.t.Errorf("caib %v %v shows %q:\n%s%s", args, loudness, secret, result.Stdout, result.Stderr)
			}
		}
		if i == 0 {
			first = result
		}
	}
	return first
}

// push puts a sample image into the registry, as somebody.
func (l *login) push(repository, user, password string, options registry.Options) string {
	l.t.Helper()
	options.AuthFile = l.authFile(user, password)
	client, err := registry.New(options)
	if err != nil {
		l.t.Fatal(err)
	}
	to, err := client.Open(registry.Reference{Registry: l.host, Repository: repository})
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = samples.Bootc(l.t.Context(), to, "1", samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1"})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.host + "/" + repository + ":1"
}

// authFile is a file with the login of a user.
func (l *login) authFile(user, password string) string {
	l.t.Helper()
	return l.auths("push-"+user+".json", map[string][2]string{l.host: {user, password}})
}

// tags lists a repository as somebody who may.
func (l *login) tags(repository, user, password string) []string {
	l.t.Helper()
	client, err := registry.New(registry.Options{AuthFile: l.authFile(user, password)})
	if err != nil {
		l.t.Fatal(err)
	}
	from, err := client.Open(registry.Reference{Registry: l.host, Repository: repository})
	if err != nil {
		l.t.Fatal(err)
	}
	tags, err := from.Tags(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return tags
}

// htpasswd is distribution with the given users and passwords.
func htpasswd(t testing.TB, users map[string]string) http.Handler {
	t.Helper()
	var lines strings.Builder
	for user, password := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s:%s\n", user, hash)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return registries.Distribution3Locked(t, "htpasswd", configuration.Parameters{"realm": "test", "path": path})
}

func says(t *testing.T, result tools.Result, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(result.Stdout+result.Stderr, want) {
			t.Errorf("it does not say %q:\n%s%s", want, result.Stdout, result.Stderr)
		}
	}
}

func TestLoginWithPassword(t *testing.T) {
	t.Parallel()
	l := newLogin(t, htpasswd(t, map[string]string{"alice": alicePassword}))
	image := l.push("os/autosd", "alice", alicePassword, registry.Options{})
	says(t, l.exits(3, "catalog", "list"), l.host, "anonymous", "docker login")
	wrong := l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", bobPassword}})
	for _, verb := range [][]string{{"list"}, {"publish", image}, {"add", "x", image}, {"history"}, {"login-check", image}} {
		says(t, l.exits(3, append([]string{"catalog"}, verb...)...), l.host, "as alice from "+wrong+" ("+l.host+")", "hint: ")
	}
	l.auths(".docker/config.json", map[string][2]string{"https://" + l.host + "/v1/": {"alice", alicePassword}})
	l.exits(0, "catalog", "publish", image)
	says(t, l.exits(0, "catalog", "list"), "autosd")
	says(t, l.exits(0, "catalog", "login-check", image, "--push"), "alice", "ok")
	// That it may begin an upload leaves nothing behind.
	l.exits(0, "catalog", "login-check", l.host+"/os/never", "--push")
	if tags := l.tags("os/never", "alice", alicePassword); len(tags) > 0 {
		t.Errorf("a check wrote %v", tags)
	}
}

func TestLoginWithTokens(t *testing.T) {
	t.Parallel()
	tokens := registries.NewTokens(t, map[string]registries.User{
		"alice": {Password: alicePassword, Identity: aliceIdentity, May: []string{"pull", "push"}},
		"bob":   {Password: bobPassword, May: []string{"pull"}},
	})
	l := newLogin(t, tokens.Distribution3(t))
	image := l.push("os/autosd", "alice", alicePassword, registry.Options{})
	second := l.push("os/second", "alice", alicePassword, registry.Options{})
	says(t, l.exits(3, "catalog", "list"), l.host, "anonymous")

	l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
	l.exits(0, "catalog", "publish", image)
	before := l.tags("team/catalog", "alice", alicePassword)

	// A pull-only account reads, and publishes nothing, not even half of it.
	pullOnly := l.auths("bob.json", map[string][2]string{l.host: {"bob", bobPassword}})
	says(t, l.exits(0, "catalog", "list", "--authfile", pullOnly), "autosd")
	for _, verb := range [][]string{{"publish", second}, {"add", "x", second}, {"remove", "autosd", "--force"}, {"login-check", image, "--push"}} {
		result := l.exits(3, slices.Concat([]string{"catalog"}, verb, []string{"--authfile", pullOnly})...)
		says(t, result, l.host, "as bob from "+pullOnly+" ("+l.host+")", "hint: ")
	}
	if after := l.tags("team/catalog", "alice", alicePassword); !slices.Equal(before, after) {
		t.Errorf("a pull-only account made %v of %v", after, before)
	}
	if referrers := l.tags("os/second", "alice", alicePassword); len(referrers) != 1 {
		t.Errorf("a pull-only account attached something: %v", referrers)
	}
	says(t, l.exits(0, "catalog", "login-check", image, "--authfile", pullOnly), "bob", "ok", "failed", "pushing does not work")

	// An identity token, and access tokens that are good, too old, or for
	// another repository.
	stored := func(name, field, token string) string {
		l.planted = append(l.planted, token)
		return l.write(name, fmt.Sprintf(`{"auths":{%q:{%q:%q}}}`, l.host, field, token))
	}
	says(t, l.exits(0, "catalog", "list", "--authfile", stored("identity.json", "identitytoken", aliceIdentity)), "autosd")
	l.exits(0, "catalog", "publish", second, "--authfile", filepath.Join(l.home, "identity.json"))
	revoked := stored("revoked.json", "identitytoken", "rev0ked-identity_token")
	says(t, l.exits(3, "catalog", "list", "--authfile", revoked), l.host, "as "+revoked)
	hour := time.Now().Add(time.Hour)
	l.exits(0, "catalog", "list", "--authfile", stored("access.json", "registrytoken", tokens.Sign(t, hour, "team/catalog", "pull")))
	expired := stored("expired.json", "registrytoken", tokens.Sign(t, time.Now().Add(-time.Hour), "team/catalog", "pull"))
	says(t, l.exits(3, "catalog", "list", "--authfile", expired), l.host, "as "+expired, "hint: ")
	l.exits(3, "catalog", "list", "--authfile", stored("other.json", "registrytoken", tokens.Sign(t, hour, "team/other", "pull")))
	for _, line := range tokens.Asked() {
		if line == "nobody" || strings.HasPrefix(line, "nobody ") {
			continue
		}
		if scopes := strings.Fields(line)[1:]; len(scopes) != 1 {
			t.Errorf("one token for several repositories: %s", line)
		}
	}
}

// Podman's logins for single paths: each is asked for its own repositories.
func TestLoginForEachPath(t *testing.T) {
	t.Parallel()
	tokens := registries.NewTokens(t, map[string]registries.User{
		"alice": {Password: alicePassword, May: []string{"pull", "push"}, Below: "team/"},
		"bob":   {Password: bobPassword, May: []string{"pull", "push"}, Below: "os/"},
	})
	l := newLogin(t, tokens.Distribution3(t))
	image := l.push("os/autosd", "bob", bobPassword, registry.Options{})
	l.auths("run/containers/auth.json", map[string][2]string{l.host + "/team/catalog": {"alice", alicePassword}, l.host + "/os": {"bob", bobPassword}})
	l.env = append(l.env, "XDG_RUNTIME_DIR="+filepath.Join(l.home, "run"))
	l.exits(0, "catalog", "publish", image)
	says(t, l.exits(0, "catalog", "list"), "autosd")
	says(t, l.exits(3, "catalog", "list", "--catalog", l.host+"/other/catalog"), "anonymous")
	asked := tokens.Asked()
	for _, line := range asked {
		user, scopes, _ := strings.Cut(line, " ")
		path := map[string]string{"alice": "team/catalog", "bob": "os/autosd", "nobody": "other/catalog"}[user]
		for scope := range strings.FieldsSeq(scopes) {
			if !strings.HasPrefix(scope, "repository:"+path+":") {
				t.Errorf("%s was asked for %s", user, scope)
			}
		}
	}
	for _, user := range []string{"alice", "bob", "nobody"} {
		if !slices.ContainsFunc(asked, func(line string) bool { return strings.HasPrefix(line, user+" ") }) {
			t.Errorf("%s is not among %q", user, asked)
		}
	}
}

func TestLoginWithHelper(t *testing.T) {
	t.Parallel()
	l := newLogin(t, htpasswd(t, map[string]string{"alice": alicePassword}))
	l.env = append(l.env, "PATH="+l.home)
	l.write(".docker/config.json", fmt.Sprintf(`{"credHelpers":{%q:"e2e"}}`, l.host))
	helper := func(script string) { l.write("docker-credential-e2e", "#!/bin/sh\nread -r host\n"+script+"\n") }
	helper(`echo '{"Username":"alice","Secret":"` + alicePassword + `"}'`)
	l.exits(0, "catalog", "list")
	says(t, l.exits(0, "catalog", "login-check", l.host+"/team/catalog"), "credential helper docker-credential-e2e")
	helper(`echo "` + alicePassword + `"; echo "` + alicePassword + `" >&2; exit 1`)
	says(t, l.exits(3, "catalog", "list"), "credential helper docker-credential-e2e for "+l.host, "exit status 1")
	helper(`echo "credentials not found in native keychain"; exit 1`)
	says(t, l.exits(3, "catalog", "list"), "anonymous")
	if err := os.Remove(filepath.Join(l.home, "docker-credential-e2e")); err != nil {
		t.Fatal(err)
	}
	says(t, l.exits(3, "catalog", "list"), "docker-credential-e2e", "not installed")
}

// The token that a pod mounts, for the hosts that the config file names; the
// next run reads the one that took its place.
func TestLoginWithServiceAccount(t *testing.T) {
	t.Parallel()
	const first, second = "f1rst-service_account.token", "sec0nd-service_account.token"
	l := newLogin(t, htpasswd(t, map[string]string{"serviceaccount": second}))
	l.planted = append(l.planted, first, second)
	l.write(".config/caib/config.yaml", fmt.Sprintf("service-account:\n  hosts: [%q]\n  token-file: %q\n", l.host, l.write("token", first)))
	says(t, l.exits(3, "catalog", "list"), "as serviceaccount from service-account token "+filepath.Join(l.home, "token"))
	l.write("token", second+"\n")
	l.exits(0, "catalog", "list")
	// Another host gets nothing of it.
	other := newLogin(t, htpasswd(t, map[string]string{"serviceaccount": second}))
	says(t, l.exits(3, "catalog", "list", "--catalog", other.host+"/team/catalog"), "anonymous")
}

func TestLoginWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	l := loginAt(t, strings.TrimPrefix(server.URL, "http://"))
	server.Close()
	l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
	l.exits(8, "catalog", "list")
	says(t, l.exits(8, "catalog", "login-check", l.host+"/team/catalog"), "unknown")
}
