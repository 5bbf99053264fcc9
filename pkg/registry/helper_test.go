package registry

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
)

// install makes a credential helper of a shell script, and returns a keychain
// of the given configuration.
func install(t *testing.T, config, script string) keychain {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "docker-credential-catalogtest"), "#!/bin/sh\nread -r host\n"+script, 0o755)
	t.Setenv("PATH", dir)
	find, err := openAuthFile(writeFile(t, filepath.Join(dir, "config.json"), config, 0o600), true)
	if err != nil {
		t.Fatal(err)
	}
	return find
}

const store = `{"credsStore":"catalogtest"}`

// What a helper prints is shown to nobody, on whichever stream.
func TestHelpersThatFail(t *testing.T) {
	for name, script := range map[string]string{
		"ends with an error":  "echo s3cr3t; echo s3cr3t >&2; exit 3",
		"prints no JSON":      "echo s3cr3t",
		"prints another JSON": `echo '{"Username":["s3cr3t"]}'`,
		"prints too much":     "i=0; while [ $i -lt 70000 ]; do echo s3cr3ts3cr3ts3cr3t; i=$((i+1)); done",
		"is killed":           "kill -9 $$",
	} {
		t.Run(name, func(t *testing.T) {
			find := install(t, store, script)
			s := locked(t, "me", "s3cr3t")
			options := quick()
			options.Credentials = find
			_, err := open(t, s.host, options).Tags(t.Context())
			if kind(err) != "unauthorized" || strings.Contains(err.Error(), "s3cr3t") ||
				!strings.Contains(err.Error(), "docker-credential-catalogtest for "+s.host) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A helper that never answers ends with its caller's patience.
func TestHelperThatHangs(t *testing.T) {
	s := locked(t, "me", "s3cr3t")
	options := quick()
	options.Credentials = install(t, store, "kill -STOP $$")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	testwait.Return(t, "the deadline to end the helper", func() {
		if _, err := open(t, s.host, options).Tags(ctx); kind(err) != "timed out" {
			t.Error(err)
		}
	})
}

func TestHelperOrder(t *testing.T) {
	const known = `echo '{"Username":"helper","Secret":"s3cr3t"}'`
	const unknown = `echo "credentials not found in native keychain"; exit 1`
	entries := `"auths":{"r.example.com":{"username":"file","password":"x"},"r.example.com/team":{"username":"path","password":"x"},"s.example.com":{}}`
	for _, tt := range []struct{ name, config, script, host, path, want string }{
		{"the helper before the host's entry", `{"credsStore":"catalogtest",` + entries + `}`, known, "r.example.com", "other/image", "helper"},
		{"a longer key before the helper", `{"credsStore":"catalogtest",` + entries + `}`, known, "r.example.com", "team/image", "path"},
		{"the entry where the helper has none", `{"credsStore":"catalogtest",` + entries + `}`, unknown, "r.example.com", "other/image", "file"},
		{"an empty entry, as docker writes beside a store", `{"credsStore":"catalogtest",` + entries + `}`, known, "s.example.com", "x", "helper"},
		{"a host that is taken out of the store", `{"credsStore":"catalogtest","credHelpers":{"r.example.com":""},` + entries + `}`, known, "r.example.com", "other/image", "file"},
		{"Docker Hub", store, `[ "$host" = https://index.docker.io/v1/ ] && ` + known, "docker.io", "library/x", "helper"},
		{"a helper for Docker Hub", `{"credHelpers":{"https://index.docker.io/v1/":"catalogtest"}}`, known, "docker.io", "library/x", "helper"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := install(t, tt.config, tt.script)(t.Context(), tt.host, tt.path)
			if err != nil || got.Username != tt.want {
				t.Errorf("%v, %v; want %s", got, err, tt.want)
			}
		})
	}
	got, err := install(t, store, `echo '{"Username":"<token>","Secret":"t0ken"}'`)(t.Context(), "r.example.com", "x")
	if err != nil || got.IdentityToken != "t0ken" || got.Username != "" || !strings.HasPrefix(got.String(), "credential helper docker-credential-catalogtest (") {
		t.Errorf("an identity token: %v, %v", got, err)
	}
}
