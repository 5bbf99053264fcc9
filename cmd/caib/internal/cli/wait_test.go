package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
)

// late is a registry to which an image is pushed as soon as its tag was asked for
// twice; image is its reference.
func late(t *testing.T) (image string) {
	t.Helper()
	inner := newRegistry(true)
	var asked atomic.Int32
	var push func()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/late") && asked.Add(1) == 3 {
			push()
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	image = strings.TrimPrefix(server.URL, "http://") + "/os/autosd:late"
	push = func() {
		if _, err := pushSample("bootc", image, samples.Build{Distro: "autosd", Architectures: []string{"arm64"}, Version: "1"}); err != nil {
			t.Error(err)
		}
	}
	return image
}

// publish and publish -f wait for an image that is pushed later, and say so: on a
// terminal on a line that goes away.
func TestPublishWaitsForLateImages(t *testing.T) {
	for _, tt := range []struct {
		name     string
		terminal bool
		file     bool
		args     []string
		want     string // on standard error, among the rest
	}{
		{"a pipeline", false, false, nil, "note: IMAGE is not there yet: waiting for it, 10s at most\n"},
		{"a terminal", true, false, nil, "\r\x1b[Kwaiting for IMAGE (0s of 10s)\r\x1b[K"},
		{"quiet", true, false, []string{"--quiet"}, ""},
		{"a build", false, true, nil, "note: IMAGE is not there yet: waiting for it, 10s at most\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image, env := late(t), homeEnv(t)
			args := append([]string{"catalog", "publish", "--wait=10s", "-o", "name"}, tt.args...)
			if tt.file {
				path := filepath.Join(t.TempDir(), "build.yaml")
				text := "apiVersion: automotive.sdv.cloud.redhat.com/v1alpha1\nkind: ImageBuild\nmetadata: {name: autosd}\nspec: {export: {container: " + image + "}}\nstatus: {phase: Completed}\n"
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-f", path)
			} else {
				args = append(args, image)
			}
			var out, errs bytes.Buffer
			code := 0
			testwait.Return(t, "caib to end", func() {
				code = Main(t.Context(), args, Streams{
					In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(name string) string { return env[name] },
					Now: time.Now, ErrTerminal: tt.terminal, Author: "alice@build", recheck: time.Millisecond,
				})
			})
			said := strings.ReplaceAll(errs.String(), image, "IMAGE")
			if code != 0 || out.String() != "autosd\n" || !strings.Contains(said, tt.want) || (tt.want == "") != (said == "") {
				t.Errorf("exit code %d, %q, %q; want 0 and %q", code, out.String(), said, tt.want)
			}
			if steering(strings.ReplaceAll(said, "\r\x1b[K", "")) {
				t.Errorf("it steers a terminal: %q", said)
			}
		})
	}
}
