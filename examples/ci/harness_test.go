package ci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

// bin is the directory of the built caib, and of cosign.key, cosign.pub and
// cosign.password, as a workspace has them.
var bin string

const password = "pass word"

func TestMain(m *testing.M) {
	code, err := withCaib(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCaib(run func() int) (int, error) {
	var err error
	if bin, err = os.MkdirTemp("", "caib-ci"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "caib"), "github.com/oci-catalog/caib/cmd/caib")
	if text, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build caib: %w: %s", err, text)
	}
	if err := os.WriteFile(filepath.Join(bin, "cosign.password"), []byte(password+"\n"), 0o600); err != nil {
		return 1, err
	}
	keys := exec.Command(filepath.Join(bin, "caib"), "catalog", "generate-key-pair", "--output-key-prefix", filepath.Join(bin, "cosign"))
	keys.Env = []string{"HOME=" + bin, "COSIGN_PASSWORD=" + password}
	if text, err := keys.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("make a key pair: %w: %s", err, text)
	}
	return run(), nil
}

// inputs are what a user gives to a system's template, by the names of the action's
// inputs.
type inputs map[string]string

// outcome is what became of a run of a script.
type outcome struct {
	code    int
	printed string // on both streams
	outputs map[string]string
}

// system is one of the templates, and how its system runs it.
type system struct {
	name string
	// run runs the template's script in a new directory, with nothing in its
	// environment but what the system sets, and more.
	run func(t *testing.T, j *job) outcome
}

// job is one run of a pipeline.
type job struct {
	world  *world
	inputs inputs
	number string            // of the run
	ref    string            // the branch
	env    map[string]string // besides what the system sets
}

// world is a registry, and a home directory with nothing in it.
type world struct {
	t    *testing.T
	host string
	home string
	shut atomic.Bool // the registry wants a login: robot with the password s3cret
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir()}
	inner := ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); w.shut.Load() && (user != "robot" || secret != "s3cret") {
			rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	return w
}

func (w *world) catalog() string { return w.host + "/team/catalog" }

// push pushes an image and returns its reference.
func (w *world) push(tag string) string {
	w.t.Helper()
	reference := w.host + "/os/autosd:" + tag
	ref, err := registry.ParseReference(reference)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := client.Open(ref)
	if err == nil {
		_, err = samples.Bootc(w.t.Context(), to, tag, samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: tag, Created: time.Unix(1e9, 0)})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return reference
}

// caib runs a verb against the catalog, outside of any pipeline.
func (w *world) caib(env map[string]string, args ...string) (int, string) {
	w.t.Helper()
	all := map[string]string{"CAIB_CATALOG": w.catalog()}
	for name, value := range env {
		all[name] = value
	}
	return w.execute(w.home, all, "", append([]string{filepath.Join(bin, "caib"), "catalog"}, args...)...)
}

// execute runs a program in a directory, with an environment of its own.
func (w *world) execute(dir string, env map[string]string, stdin string, argv ...string) (int, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir, command.Stdin = dir, strings.NewReader(stdin)
	command.Env = []string{"HOME=" + w.home, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	var text bytes.Buffer
	command.Stdout, command.Stderr = &text, &text
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%q: %v", argv, err)
	}
	return command.ProcessState.ExitCode(), text.String()
}

// decode reads a file of YAML, and refuses members that the target does not have.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// read returns a file; "" for one that is not there.
func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// variables reads lines of NAME=VALUE.
func variables(t *testing.T, text, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		short, prefixed := strings.CutPrefix(name, prefix)
		if !ok || !prefixed {
			t.Errorf("line %q, want %sNAME=VALUE", line, prefix)
		}
		all[strings.ToLower(short)] = value
	}
	return all
}

// fill replaces what a system writes as open NAME close by what it stands for there. A
// name that stands for nothing is an error.
func fill(t *testing.T, text string, form *regexp.Regexp, values map[string]string) string {
	t.Helper()
	return form.ReplaceAllStringFunc(text, func(found string) string {
		name := form.FindStringSubmatch(found)[1]
		value, ok := values[name]
		if !ok {
			t.Errorf("%q stands for nothing", found)
		}
		return value
	})
}
