package registry

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// D17: a credential helper that does not work is warned of, once, and passed
// over; what comes after it is used.
func TestHelpersThatDoNotWork(t *testing.T) {
	entry := func(host string) string { return `"auths":{"` + host + `":{"auth":"` + basic("me", "s3cr3t") + `"}}` }
	for name, tt := range map[string]struct{ config, script string }{
		"not installed":      {`{"credsStore":"missing",%s}`, ""},
		"not for this host":  {`{"credHelpers":{"HOST":"missing"},%s}`, ""},
		"ends with an error": {`{"credsStore":"catalogtest",%s}`, "echo s3cr3t-of-another >&2; exit 3"},
		"prints no JSON":     {`{"credsStore":"catalogtest",%s}`, "echo no"},
	} {
		t.Run(name, func(t *testing.T) {
			s := locked(t, "me", "s3cr3t")
			public := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", `{"tags":["a"]}`) })
			for host, config := range map[string]string{
				s.host:      strings.Replace(strings.ReplaceAll(tt.config, "HOST", s.host), "%s", entry(s.host), 1),
				public.host: strings.Replace(strings.ReplaceAll(tt.config, "HOST", public.host), ",%s", "", 1),
			} {
				var log bytes.Buffer
				options := quick()
				options.Credentials, options.Logger = install(t, config, tt.script), debugLogger(&log)
				client, err := New(options)
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"team/image", "team/other"} {
					if tags, err := openPath(t, client, host, path).Tags(t.Context()); err != nil || len(tags) != 1 {
						t.Errorf("%s: %v, %v", path, tags, err)
					}
				}
				if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "docker-credential-") || strings.Contains(log.String(), "s3cr3t") {
					t.Errorf("the log says:\n%s", &log)
				}
			}
		})
	}
}

// The login may be in the next source, and if it is in none the refusal says
// what was passed over.
func TestSourcesAfterABrokenHelper(t *testing.T) {
	s := locked(t, "me", "s3cr3t")
	options := quick()
	broken := install(t, `{"credsStore":"missing"}`, "")
	options.Credentials = firstOf(broken, userAndPassword("me", "s3cr3t"))
	if _, err := open(t, s.host, options).Tags(t.Context()); err != nil {
		t.Error(err)
	}
	options.Credentials = firstOf(broken, userAndPassword("", ""))
	if _, err := open(t, s.host, options).Tags(t.Context()); kind(err) != "unauthorized" || !strings.Contains(err.Error(), "docker-credential-missing") {
		t.Error(err)
	}
}

// D22: that a helper has no login for a host it may say on either stream, and in
// its own words.
func TestHelpersThatHaveNone(t *testing.T) {
	for name, script := range map[string]string{
		"as specified":        `echo "credentials not found in native keychain"; exit 1`,
		"on the other stream": `echo "credentials not found in native keychain" >&2; exit 1`,
		"in other words":      `echo "Error: no credentials for this server" >&2; exit 2`,
		"in fewer":            `echo "not found" >&2; exit 1`,
		"as macOS does":       `echo "The specified item could not be found in the keychain."; exit 1`,
		"by an empty answer":  `echo '{"ServerURL":"","Username":"","Secret":""}'`,
	} {
		got, err := install(t, store, script)(t.Context(), "r.example.com", "x")
		if err != nil || !got.anonymous() || len(got.Problems) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	got, err := install(t, store, `echo "gpg: command not found" >&2; exit 127`)(t.Context(), "r.example.com", "x")
	if err != nil || len(got.Problems) != 1 {
		t.Errorf("a helper that lacks a program: %v, %v", got, err)
	}
}
