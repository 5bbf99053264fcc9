package cli

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/schema/apitest"
)

// Whatever is asked, a server lists what the registry lists, in the same words,
// and is asked for no more than is shown.
func TestListThroughAServer(t *testing.T) {
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
	s, err := startServer(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	var pages atomic.Int64
	check := apitest.Proxy(&url.URL{Scheme: "http", Host: s.address}, func(err error) { t.Error(err) })
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.Add(1); check.ServeHTTP(w, r) }))
	defer proxy.Close()
	for status := 0; status != http.StatusOK; {
		status, _ = get(t, http.DefaultClient, "http://"+s.address+"/readyz")
	}
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
