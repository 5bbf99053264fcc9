package cli

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/schema/apitest"
)

// Whatever is asked, a server lists what the registry lists, in the same words,
// and is asked for no more than is shown.
func TestListThroughAServer(t *testing.T) {
	t.Parallel()
	r := startRegistry(t)
	env := homeEnv(t)
	env["CAIB_CATALOG"] = r.host + "/team/catalog"
	for i := range 9 {
		image := fmt.Sprintf("%s/os/image-%d:1", r.host, i)
		build := samples.Build{
			Distro: []string{"autosd", "cs9", "dis\u00e9"}[i%3], Target: []string{"rpi4", "qemu"}[i%2], Architectures: [][]string{{"arm64"}, {"amd64", "arm64"}}[i/5],
			Version: fmt.Sprint(i), Created: time.Unix(int64(i), 0),
		}
		if _, err := pushSample("bootc", image, build); err != nil {
			t.Fatal(err)
		}
		args := []string{"catalog", "publish", image, "--tags", fmt.Sprintf("nightly,t%d", i%3), "--label", fmt.Sprintf("team=%d", i%2), "--label", "empty=", "--no-attach"}
		if code, _, stderr := run(t, env, args...); code != 0 {
			t.Fatal(stderr)
		}
	}
	s := startServer(t, func(name string) string { return env[name] })
	defer s.stop()
	var pages atomic.Int64
	check := apitest.Proxy(&url.URL{Scheme: "http", Host: s.address}, func(err error) { t.Error(err) })
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.Add(1); check.ServeHTTP(w, r) }))
	defer proxy.Close()
	s.current(t)
	through := maps.Clone(env)
	through["CAIB_SERVER"] = proxy.URL
	many := strings.TrimSuffix(strings.Repeat("nightly,", 70), ",")
	for _, args := range [][]string{
		{}, {"--limit", "2"}, {"--limit", "9"}, {"--limit", "10"}, {"--limit", "1", "--sort", "size"}, {"--sort", "name"}, {"--latest"}, {"--latest", "--limit", "1"},
		{"--distro", "cs9"}, {"--distro", "dis\u00e9"}, {"--distro", "\x01"}, {"--distro", " cs9"}, {"--target", "rpi4", "--architecture", "aarch64"}, {"--architecture", "x86_64"},
		{"--tags", "nightly,t1"}, {"--tags", "nightly", "--tags", "t2"}, {"--tags", many}, {"--tags", "none"}, {"--label", "team=1"}, {"--label", "team=1", "--label", "empty="},
		{"--phase", "available"}, {"--phase", "Failed"}, {"--phase", "all"}, {"--phase", "nonsense"}, {"--as-of", "2020-01-01"}, {"--as-of", "2099-01-01", "--limit", "1"}, {"--sort", "age"},
	} {
		for _, format := range []string{"wide", "name"} { // JSON has the conditions besides that probes found
			args := append([]string{"catalog", "list", "-o", format}, args...)
			code, stdout, stderr := run(t, env, args...)
			pages.Store(0)
			gotCode, gotStdout, gotStderr := run(t, through, args...)
			if gotCode != code || gotStdout != stdout || gotStderr != stderr {
				t.Errorf("%v: exit codes %d and %d\n%s%s\n%s%s", args, code, gotCode, stdout, stderr, gotStdout, gotStderr)
			}
			if n := pages.Load(); n != 1 && strings.Contains(stdout, "image-") {
				t.Errorf("%v takes %d requests", args, n)
			}
		}
	}
}

// What answers in another way than an index server is none, and nothing is known
// of the catalog then.
func TestAnswersOfNoServer(t *testing.T) {
	entryText := `{"name":"a","registryUrl":"r.example.com/a:1","digest":"` + digest.FromString("").String() + `","phase":"Available"}`
	for name, tt := range map[string]struct {
		answer string
		args   string
	}{
		"empty":                  {``, "list"},
		"another object":         {`{"foo":1}`, "list"},
		"no entries":             {`{"items":null,"total":0}`, "list"},
		"fewer than it says":     {`{"items":[],"total":5}`, "list"},
		"more than it says":      {`{"items":[` + entryText + `],"total":0}`, "list"},
		"an entry without names": {`{"items":[{}],"total":1}`, "list"},
		"another entry object":   {`{"foo":1}`, "get a"},
		"without an image":       {strings.Replace(entryText, "sha256:", "", 1), "get a"},
		"in no phase":            {strings.Replace(entryText, "Available", "", 1), "get a"},
		"no history":             {`{"foo":1}`, "history"},
		"an empty revision":      {`{"items":[{}],"total":1}`, "history"},
		"nothing was published":  {entryText, "publish r.example.com/a:1"},
		"nothing was removed":    {`{}`, "remove a --force"},
		"nothing was verified":   {`{"catalogs":[]}`, "verify a"},
		"no server at all":       {`{}`, "verify a"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer server.Close()
			code, stdout, stderr := run(t, homeEnv(t), append([]string{"catalog", "--server", server.URL}, strings.Fields(tt.args)...)...)
			if code != 8 || stdout != "" && stdout != "a  verdict: unknown\n" || !strings.Contains(stderr, "not that of an index server") || !strings.Contains(stderr, "hint: ") {
				t.Errorf("exit code %d, want 8\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// Whether a server or a registry is asked is decided by what is said nearest to
// the command.
func TestServerOrCatalog(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[],"total":0}`)
	}))
	defer server.Close()
	env := homeEnv(t)
	catalog := "oci:" + t.TempDir() + "/catalog"
	for _, tt := range []struct {
		name, server, catalog string // of the environment
		args                  []string
		code                  int
		through               bool
	}{
		{"nothing", "", "", nil, 0, false},
		{"a server in the environment", server.URL, "", nil, 0, true},
		{"both in the environment", server.URL, catalog, nil, 0, true},
		{"a server as a flag", "", catalog, []string{"--server", server.URL}, 0, true},
		{"a catalog as a flag", server.URL, "", []string{"--catalog", catalog}, 0, false},
		{"both as flags", "", "", []string{"--catalog", catalog, "--server", server.URL}, 2, false},
	} {
		env["CAIB_SERVER"], env["CAIB_CATALOG"] = tt.server, tt.catalog
		asked.Store(0)
		code, _, stderr := run(t, env, append([]string{"catalog", "list"}, tt.args...)...)
		if code != tt.code || (asked.Load() > 0) != tt.through {
			t.Errorf("%s: exit code %d, want %d; the server was asked %d times\n%s", tt.name, code, tt.code, asked.Load(), stderr)
		}
	}
}

// The settings about TLS hold for a server as they do for a registry.
func TestServerCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[],"total":0}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ca": encode("CERTIFICATE", server.Certificate().Raw), "none": []byte("no certificate\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, debug := range []string{"", "http2client=0"} {
		t.Setenv("GODEBUG", debug)
		for args, want := range map[string]struct {
			code int
			text string
		}{
			"": {8, "hint: give the server's certificate authority with --ca-file"}, "--insecure": {0, ""}, "--ca-file " + filepath.Join(dir, "ca"): {0, ""},
			"--ca-file " + filepath.Join(dir, "none"): {2, "--ca-file"}, "--ca-file " + filepath.Join(dir, "missing"): {2, "--ca-file"},
		} {
			code, _, stderr := run(t, homeEnv(t), append([]string{"catalog", "list", "--server", server.URL}, strings.Fields(args)...)...)
			if code != want.code || !strings.Contains(stderr, want.text) {
				t.Errorf("%q %q: exit code %d, want %d\n%s", debug, args, code, want.code, stderr)
			}
		}
	}
}

// An answer that may be out of date is shown, and called that.
func TestStaleAnswersAreCalledThat(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Caib-Stale", "true")
		_, _ = io.WriteString(w, `{"items":[],"total":0}`)
	}))
	defer server.Close()
	if code, _, stderr := run(t, homeEnv(t), "catalog", "list", "--server", server.URL); code != 0 || !strings.Contains(stderr, "warning: ") || !strings.Contains(stderr, "it shows what it saw last") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// A name in several catalogs is verified in each, through a server too.
func TestVerifySeveralCatalogsThroughAServer(t *testing.T) {
	t.Parallel()
	r := startRegistry(t)
	env := homeEnv(t)
	first, second := r.host+"/team/first", r.host+"/team/second"
	for catalog, names := range map[string][]string{first: {"a", "both"}, second: {"b", "both"}} {
		for _, name := range names {
			image := catalog + "/os/" + name + ":1"
			if _, err := pushSample("bootc", image, samples.Build{Distro: "autosd", Architectures: []string{"arm64"}}); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := run(t, env, "catalog", "publish", image, "--catalog", catalog); code != 0 {
				t.Fatal(stderr)
			}
		}
	}
	env["CAIB_CATALOG"] = first + "," + second
	s := startServer(t, func(name string) string { return env[name] })
	defer s.stop()
	s.current(t)
	through := maps.Clone(env)
	through["CAIB_SERVER"] = "http://" + s.address
	for _, gone := range []bool{false, true} {
		if gone {
			r.mu.Lock()
			r.refusal = &refusal{"*", "/team/second/os/both/", http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`}
			r.mu.Unlock()
		}
		for _, args := range [][]string{{"both"}, {"a", "b"}, {"none"}, {"--all", "-o", "wide"}} {
			args = append([]string{"catalog", "verify"}, args...)
			code, stdout, stderr := run(t, env, args...)
			gotCode, gotStdout, gotStderr := run(t, through, args...)
			if gotCode != code || gotStdout != stdout || gotStderr != stderr {
				t.Errorf("%v, broken %t: exit codes %d and %d\n%s%s\n%s%s", args, gone, code, gotCode, stdout, stderr, gotStdout, gotStderr)
			}
			if gone && code == 0 && args[2] == "both" {
				t.Errorf("%v: what is broken is in order", args)
			}
		}
	}
}

// A server that does not answer in time is not a matter of certificates, whatever
// the request is about.
func TestHintsAboutServersAreAboutThem(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		hint   string
	}{
		"too late": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees the client leave
			<-r.Context().Done()
		}, noAnswerHint},
		"read-only": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":"no","code":"unauthorized","reason":"read_only"}`)
		}, "publish to the registry itself"},
		"not allowed": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":"no","code":"unauthorized","reason":"registry_not_allowed"}`)
		}, "--allow-registry HOST"},
		"the name is taken": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"error":"no","code":"conflict","name":"certificate-service"}`)
		}, "gives it a new state"},
		"the image is published": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"error":"no","code":"conflict","name":"a","image":"r.example.com/os/certificate-service:1"}`)
		}, "--move"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			_, _, stderr := run(t, homeEnv(t), "catalog", "add", "certificate-service", "r.example.com/os/certificate-service:1", "--server", server.URL, "--timeout", "200ms")
			if !strings.Contains(stderr, "hint: ") || !strings.Contains(stderr, tt.hint) || strings.Contains(stderr, "certificate authority") {
				t.Errorf("want the hint %q\n%s", tt.hint, stderr)
			}
		})
	}
}
