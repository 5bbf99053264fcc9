package registry

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func debugLogger(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func userAndPassword(user, password string) keychain {
	return func(context.Context, string, string) (Account, error) {
		return Account{Username: user, Password: password, Source: "the test"}, nil
	}
}

// locked is a registry that lets in one user.
func locked(t *testing.T, user, password string) *script {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="catalog"`)
			answer(w, 401, "application/json", `{"errors":[{"code":"UNAUTHORIZED"}]}`)
			return
		}
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
}

func TestCredentials(t *testing.T) {
	s := locked(t, "me", "s3cr3t")
	for _, tt := range []struct {
		name        string
		credentials keychain
		want        string
	}{
		{"right", userAndPassword("me", "s3cr3t"), ""},
		{"wrong", userAndPassword("me", "other-s3cr3t"), "unauthorized"},
		{"none", nil, "unauthorized"},
		{"empty", userAndPassword("", ""), "unauthorized"},
	} {
		options := quick()
		options.Credentials = tt.credentials
		_, err := open(t, s.host, options).Tags(t.Context())
		if kind(err) != tt.want || (err != nil && strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAuthFile(t *testing.T) {
	s := locked(t, "me", "s3cr3t")
	encoded := base64.StdEncoding.EncodeToString([]byte("me:s3cr3t"))
	for _, tt := range []struct{ name, config, want string }{
		{"auth", `{"auths":{"` + s.host + `":{"auth":"` + encoded + `"}}}`, ""},
		{"another host's", `{"auths":{"registry.example.com":{"auth":"` + encoded + `"}}}`, "unauthorized"},
		{"no entries", `{}`, "unauthorized"},
	} {
		file := writeFile(t, filepath.Join(t.TempDir(), "config.json"), tt.config, 0o600)
		credentials, err := openAuthFile(file, true)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		options := quick()
		options.Credentials = credentials
		if _, err := open(t, s.host, options).Tags(t.Context()); kind(err) != tt.want {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestAuthFileFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.json")
	if _, err := openAuthFile(missing, true); kind(err) != "invalid" || !strings.Contains(err.Error(), missing) {
		t.Errorf("a required file that is missing: %v", err)
	}
	credentials, err := openAuthFile(missing, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := credentials(t.Context(), "registry.example.com", "team/image"); err != nil || !got.anonymous() {
		t.Errorf("credentials of a file that is missing: %v, %v", got, err)
	}
	broken := writeFile(t, filepath.Join(t.TempDir(), "config.json"), `{"auths":`, 0o600)
	if _, err := openAuthFile(broken, false); kind(err) != "invalid" {
		t.Errorf("a broken file: %v", err)
	}
}

// helper installs a credential helper that knows one host, and returns a
// configuration file that names it.
func helper(t *testing.T, config, host string) keychain {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "docker-credential-catalogtest"), `#!/bin/sh
read -r host
if [ "$1" = get ] && [ "$host" = "`+host+`" ]; then
	echo '{"ServerURL":"'"$host"'","Username":"me","Secret":"s3cr3t"}'
	exit 0
fi
echo "credentials not found in native keychain"
exit 1
`, 0o755)
	t.Setenv("PATH", dir)
	credentials, err := openAuthFile(writeFile(t, filepath.Join(dir, "config.json"), config, 0o600), true)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func TestCredentialHelper(t *testing.T) {
	s := locked(t, "me", "s3cr3t")
	for _, tt := range []struct{ name, config, host, want string }{
		{"for all hosts", `{"credsStore":"catalogtest"}`, s.host, ""},
		{"for this host", `{"credHelpers":{"` + s.host + `":"catalogtest"}}`, s.host, ""},
		{"for this host before the store", `{"credHelpers":{"` + s.host + `":"catalogtest"},"credsStore":"missing"}`, s.host, ""},
		{"that does not know it", `{"credsStore":"catalogtest"}`, "other.example.com", "unauthorized"},
		{"for another host", `{"credHelpers":{"other.example.com":"catalogtest"}}`, s.host, "unauthorized"},
		{"that is not installed", `{"credsStore":"missing"}`, s.host, "unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := quick()
			options.Credentials = helper(t, tt.config, tt.host)
			_, err := open(t, s.host, options).Tags(t.Context())
			if kind(err) != tt.want {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if strings.Contains(tt.config, `"credsStore":"missing"}`) && tt.want != "" && !strings.Contains(err.Error(), "docker-credential-missing") {
				t.Errorf("the error does not name the helper: %v", err)
			}
		})
	}
}

// tokens is a registry with a token service on the same host; token says what
// the service answers.
func tokens(t *testing.T, token http.HandlerFunc) *script {
	t.Helper()
	var s *script
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			token(w, r)
		case r.Header.Get("Authorization") == "Bearer t0ken":
			answer(w, 200, "application/json", `{"tags":["a"]}`)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",service="catalog"`)
			answer(w, 401, "application/json", strings.Repeat(`{"errors":[]}`, 100))
		}
	})
	return s
}

func TestTokens(t *testing.T) {
	s := tokens(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", `{"token":"t0ken"}`) })
	options := quick()
	options.InFlight = 1 // the token is fetched while the refused request is under way
	repository := open(t, s.host, options)
	for range 3 {
		if tags, err := repository.Tags(t.Context()); err != nil || len(tags) != 1 {
			t.Fatalf("%v, %v", tags, err)
		}
	}
	fetched := 0
	for _, request := range s.requests() {
		if strings.HasPrefix(request, "GET /token?") {
			fetched++
			if !strings.Contains(request, "scope=repository%3Ateam%2Fimage%3Apull") {
				t.Errorf("%s asks for another scope", request)
			}
		}
	}
	if fetched != 1 || len(s.requests()) != 5 {
		t.Errorf("%d tokens fetched in %v", fetched, s.requests())
	}
}

// A token service that does not answer says nothing about the repository:
// above all not that it has no tags.
func TestTokenServiceFailures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token http.HandlerFunc
		want  string
	}{
		{"404", func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "text/html", "<html>") }, "unreachable"},
		{"404 as a registry says it", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
		}, "unreachable"},
		{"401", func(w http.ResponseWriter, _ *http.Request) { answer(w, 401, "application/json", "{}") }, "unauthorized"},
		{"403", func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, "application/json", "{}") }, "unauthorized"},
		{"503", func(w http.ResponseWriter, _ *http.Request) { answer(w, 503, "application/json", "{}") }, "unreachable"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "text/html", "<html>") }, "unreachable"},
		{"no token", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", "{}") }, "unreachable"},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) { cut(w, "application/json", `{"tok`) }, "unreachable"},
		{"useless", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, "application/json", `{"token":"other"}`)
		}, "unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tokens(t, tt.token)
			for operation, err := range everything(t, open(t, s.host, quick())) {
				if kind(err) != tt.want || strings.Contains(err.Error(), "scope=") {
					t.Errorf("%s: %v; want %s", operation, err, tt.want)
				}
			}
		})
	}
}
