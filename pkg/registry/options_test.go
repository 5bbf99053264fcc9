package registry

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

// loginFile writes a file with the login of a user for a host.
func loginFile(t *testing.T, path, host, user string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, path, `{"auths":{"`+host+`":{"username":"`+user+`","password":"s3cr3t"}}}`, 0o600)
}

// What is given comes before what the environment leads to, and nothing is read
// from the environment unless Getenv is set.
func TestAccountsOfOptions(t *testing.T) {
	dir := t.TempDir()
	loginFile(t, filepath.Join(dir, "docker", "config.json"), "docker.example.com", "docker")
	loginFile(t, filepath.Join(dir, "run", "containers", "auth.json"), "podman.example.com", "podman")
	given := loginFile(t, filepath.Join(dir, "given.json"), "docker.example.com", "given")
	token := writeFile(t, filepath.Join(dir, "token"), "t0ken", 0o600)
	getenv := func(name string) string {
		return map[string]string{
			"DOCKER_CONFIG": filepath.Join(dir, "docker"), "XDG_RUNTIME_DIR": filepath.Join(dir, "run"), "HOME": dir,
		}[name]
	}
	own := func(_ context.Context, host, _ string) (Account, error) {
		return map[string]Account{"docker.example.com": {Username: "own", Password: "x"}}[host], nil
	}
	for _, tt := range []struct {
		name    string
		options Options
		want    map[string]string // user by host
	}{
		{"nothing", Options{}, map[string]string{"docker.example.com": "", "podman.example.com": ""}},
		{"the environment", Options{Getenv: getenv}, map[string]string{"docker.example.com": "docker", "podman.example.com": "podman"}},
		{"a file", Options{Getenv: getenv, AuthFile: given}, map[string]string{"docker.example.com": "given", "podman.example.com": ""}},
		{"credentials", Options{Getenv: getenv, AuthFile: given, Credentials: own}, map[string]string{"docker.example.com": "own", "podman.example.com": ""}},
		{"credentials, then the environment", Options{Getenv: getenv, Credentials: own}, map[string]string{"docker.example.com": "own", "podman.example.com": "podman"}},
		{"a service account last", Options{Getenv: getenv, ServiceAccountHosts: []string{"docker.example.com", "c.example.com"}, ServiceAccountToken: token},
			map[string]string{"docker.example.com": "docker", "c.example.com": "serviceaccount"}},
	} {
		client, err := New(tt.options)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range tt.want {
			account, err := client.account(t.Context(), Reference{Registry: host, Repository: "a/b"})
			if err != nil || account.Username != want {
				t.Errorf("%s: account for %s: got %v, %v, want user %q", tt.name, host, account, err, want)
			}
		}
	}
}

// What is wrong names the option, and quotes no secret.
func TestWrongOptions(t *testing.T) {
	env := func(name string) string { return map[string]string{"HTTPS_PROXY": "me:s3cr3t@%zz"}[name] }
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct {
		options Options
		want    string
	}{
		{Options{AuthFile: missing}, "AuthFile"},
		{Options{CAFile: missing}, "CAFile"},
		{Options{Getenv: env}, "Proxy"},
	} {
		_, err := New(tt.options)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Option != tt.want || !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("New: got error %v (option %v), want an invalid %s", err, wrong, tt.want)
		}
	}
	if _, err := NewTransport(Options{Getenv: env}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("NewTransport: got error %v, want invalid", err)
	}
}

func TestProxyOfEnvironment(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"https_proxy": "http://proxy.example.com:3128", "NO_PROXY": "inside.example.com"}[name]
	}
	transport, err := NewTransport(Options{Getenv: env})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{"https://a.example.com/": "http://proxy.example.com:3128", "https://inside.example.com/": "", "http://a.example.com/": ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if proxy, err := transport.Proxy(request); err != nil {
			t.Error(err)
		} else if proxy != nil {
			got = proxy.String()
		}
		if got != want {
			t.Errorf("proxy for %s: got %q, want %q", url, got, want)
		}
	}
}
