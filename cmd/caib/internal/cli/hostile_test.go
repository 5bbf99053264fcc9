package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
)

// evil has what a terminal obeys: an escape sequence, a C1 one, a carriage
// return and backspace over what was printed, and text turned around.
const evil = "\x1b[2J\x1b]0;owned\a\u009b31m\r\b\x7f\u2028\u202egnp\u2066"

// checkPlain fails where an output steers a terminal, and where a document is
// none any more.
func checkPlain(t *testing.T, format, stdout, stderr string) {
	t.Helper()
	for name, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
		if steering(text) {
			t.Errorf("%s steers a terminal: %s", name, quoted(text))
		}
	}
	var document any
	if format == "json" && stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &document); err != nil {
			t.Errorf("stdout is no JSON: %v: %s", err, quoted(stdout))
		}
	}
	if format == "yaml" {
		if err := yaml.Unmarshal([]byte(stdout), &document); err != nil {
			t.Errorf("stdout is no YAML: %v: %s", err, quoted(stdout))
		}
	}
}

// A document that a hostile client wrote straight into the registry.
func TestHostileEntries(t *testing.T) {
	r := startRegistry(t)
	reference := r.host + "/team/catalog"
	places := map[string]map[string]any{
		"description": {"description": evil},
		"version":     {"version": "1" + evil},
		"tags":        {"tags": []string{"a" + evil}},
		"label":       {"labels": map[string]string{"a": evil}},
		"label-key":   {"labels": map[string]string{"a" + evil: "b"}},
		"publisher":   {"publishedBy": evil, "build": map[string]any{"system": "ci", "ref": evil}}, "build": {"build": map[string]any{"url": "https://ci/" + evil}},
		"distro":     {"metadata": map[string]any{"distro": evil}},
		"target":     {"metadata": map[string]any{"targets": []any{map[string]any{"name": evil, "notes": evil}}}},
		"build-mode": {"metadata": map[string]any{"buildMode": evil}},
		"reference":  {"image": map[string]any{"reference": r.host + "/" + evil, "digest": "sha256:" + strings.Repeat("0", 64), "mediaType": "a/b", "size": 1}},
		"digest":     {"image": map[string]any{"reference": "a", "digest": evil, "mediaType": evil, "size": 1}},
		"source":     {"source": map[string]any{"type": evil}},
		"artifact":   {"artifacts": []any{map[string]any{"type": evil, "reference": "a", "digest": "b", "title": evil}}},
		"unknown":    {evil: evil},
		"lone":       {"description": "\xff\xfe"},
	}
	base := func(name string) map[string]any {
		return map[string]any{
			"name": name, "source": map[string]any{"type": "Manual"}, "publishedAt": "2026-03-01T10:00:00.000Z",
			"image": map[string]any{"reference": "registry.example.com/a:1", "digest": "sha256:" + strings.Repeat("0", 64), "mediaType": "a/b", "size": 1},
		}
	}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		document := base(name)
		maps.Copy(document, places[name])
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if err := forge(reference, typeEntry, text, map[string]string{"a": evil}); err != nil {
			t.Fatal(err)
		}
	}
	// A manifest of a later format, with a name of its own choosing for it.
	text, err := json.Marshal(base("later"))
	if err != nil {
		t.Fatal(err)
	}
	if err := forge(reference, "application/vnd.caib.catalog.entry.v2"+evil, text, nil); err != nil {
		t.Fatal(err)
	}
	for _, format := range outputs {
		env := homeEnv(t)
		seen := ""
		for _, args := range [][]string{{"list"}, {"history"}, {"history", "later"}, {"get", "description"}, {"get", "unknown"}, {"get", "later"}, {"remove", "later", "--force"}} {
			_, stdout, stderr := run(t, env, append(append([]string{"catalog"}, args...), "--catalog", reference, "-o", format)...)
			checkPlain(t, format, stdout, stderr)
			seen += stdout + stderr
		}
		for _, name := range []string{"later", "description"} {
			if !strings.Contains(seen, name) {
				t.Errorf("-o %s says nothing of %s", format, name)
			}
		}
	}
}

// An image whose builder wrote escape sequences into it.
func TestHostileImages(t *testing.T) {
	r := startRegistry(t)
	build := samples.Build{Distro: evil, Target: evil, Architectures: []string{evil, "amd64"}, Version: evil, Created: time.Unix(0, 0)}
	for _, kind := range []string{"bootc", "disk"} {
		if _, err := pushSample(kind, r.host+"/team/"+kind+":1", build); err != nil {
			t.Fatal(err)
		}
		for _, format := range outputs {
			for _, args := range [][]string{
				{"publish", r.host + "/team/" + kind + ":1", "--dry-run"},
				{"publish", r.host + "/team/" + kind + ":1"},
				{"get", kind},
			} {
				code, stdout, stderr := run(t, homeEnv(t), append(append([]string{"catalog"}, args...), "--catalog", r.host+"/team/catalog", "-o", format)...)
				if code != 0 {
					t.Errorf("%v: exit code %d\n%s", args, code, stderr)
				}
				checkPlain(t, format, stdout, stderr)
			}
		}
	}
}

// What a command line, an environment and the names of files may hold.
func TestHostileArguments(t *testing.T) {
	r := startRegistry(t)
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"name":          {nil, []string{"get", evil}},
		"verb":          {nil, []string{evil}},
		"flag":          {nil, []string{"list", "--" + evil}},
		"output":        {nil, []string{"list", "-o", evil}},
		"sort":          {nil, []string{"list", "--sort", evil}},
		"as-of":         {nil, []string{"list", "--as-of", evil}},
		"label":         {nil, []string{"list", "--label", evil}},
		"catalog":       {nil, []string{"list", "--catalog", r.host + "/" + evil}},
		"layout":        {nil, []string{"list", "--catalog", "oci:" + evil}},
		"ca-file":       {nil, []string{"list", "--ca-file", "/" + evil}},
		"authfile":      {nil, []string{"list", "--authfile", "/" + evil}},
		"image":         {nil, []string{"publish", r.host + "/" + evil}},
		"digest":        {nil, []string{"publish", r.host + "/a/b", "--digest", evil}},
		"target":        {nil, []string{"publish", r.host + "/a/b", "--target", evil + ":" + evil}},
		"environment":   {map[string]string{"CAIB_TIMEOUT": evil}, []string{"list"}},
		"default":       {map[string]string{"XDG_DATA_HOME": "/tmp/" + evil}, []string{"list"}},
		"docker config": {map[string]string{"DOCKER_CONFIG": "/dev/null/" + evil}, []string{"list"}},
		"help":          {nil, []string{"list", "--help", evil}},
		"completion":    {nil, []string{"__complete", evil}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{"table", "json"} {
				env := homeEnv(t)
				maps.Copy(env, c.env)
				_, stdout, stderr := run(t, env, append([]string{"catalog", "-o", format}, c.args...)...)
				checkPlain(t, "", stdout, stderr)
			}
		})
	}
}

// Names of files that a message has to mention.
func TestHostileFileNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a\x1b[2Jb")
	if err := os.MkdirAll(filepath.Join(dir, "caib"), 0o777); err != nil {
		t.Skip(err) // not on this file system
	}
	if err := os.WriteFile(filepath.Join(dir, "caib", "config.yaml"), []byte("output: \"\\e[2J\"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	env := homeEnv(t)
	env["XDG_CONFIG_HOME"] = dir
	code, stdout, stderr := run(t, env, "catalog", "list")
	checkPlain(t, "", stdout, stderr)
	if code != exitInvalid || !strings.Contains(stderr, `\u001b[2J`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}

	strange := t.TempDir()
	if err := os.WriteFile(filepath.Join(strange, "\x1b[2J"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = run(t, homeEnv(t), "catalog", "list", "--catalog", "oci:"+strange)
	checkPlain(t, "", stdout, stderr)
	if code != exitInvalid {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// Values of megabytes are refused as fast as short ones, in few words.
func TestHugeValues(t *testing.T) {
	r := startRegistry(t)
	image := r.host + "/team/image:1"
	if _, err := pushSample("bootc", image, samples.Build{Distro: "a", Target: "b", Architectures: []string{"arm64"}, Created: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	catalog := r.host + "/team/catalog"
	if code, _, stderr := run(t, homeEnv(t), "catalog", "add", "there", image, "--catalog", catalog); code != 0 {
		t.Fatal(stderr)
	}
	if _, err := pushSample("bootc", image, samples.Build{Distro: "a", Target: "b", Architectures: []string{"arm64"}, Version: "2", Created: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	before := len(r.takeWrites())
	if before == 0 {
		t.Fatal("the registry counts no writes")
	}
	const size = 1 << 20
	huge := strings.Repeat("x", size)
	var labels []string // 5 MiB of them
	for i := range 5 * size / 200 {
		labels = append(labels, "--label", fmt.Sprintf("label-%d=%s", i, strings.Repeat("v", 190)))
	}
	cases := map[string][]string{
		"labels":  append([]string{"publish", image, "--name", "there"}, labels...),
		"name":    {"get", huge},
		"verb":    {huge},
		"flag":    {"list", "--" + huge},
		"catalog": {"list", "--catalog", r.host + "/" + huge},
		"layout":  {"list", "--catalog", "oci:/" + huge},
		"image":   {"publish", r.host + "/" + huge},
		"reason":  {"remove", "there", "--force", "--reason", huge},
	}
	for _, flag := range []string{"output", "sort", "as-of", "label", "limit", "timeout", "ca-file", "authfile"} {
		cases["list --"+flag] = []string{"list", "--" + flag, huge}
	}
	cases["list --tags"] = []string{"list", "--tags", strings.Repeat(",", size)}
	for _, flag := range []string{"name", "version", "description", "tags", "target", "digest", "build-mode", "distro", "export-format"} {
		cases["publish --"+flag] = []string{"publish", image, "--name", "there", "--" + flag, huge}
	}
	delete(cases, "publish --distro") // the image's own word wins
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			all := append([]string{"catalog"}, args...)
			if name != "catalog" && name != "layout" {
				all = append(all, "--catalog", catalog)
			}
			code, stdout, stderr := run(t, homeEnv(t), all...)
			if code != exitInvalid || stdout != "" || len(stderr) > 2*maxMessage {
				t.Errorf("exit code %d, %d bytes on stdout, %d on stderr: %s", code, len(stdout), len(stderr), quoted(stderr))
			}
		})
	}
	if writes := r.takeWrites(); len(writes) > 0 {
		t.Errorf("written: %v", writes)
	}
}

// A reason is one line.
func TestRemoveReasonIsOneLine(t *testing.T) {
	r := startRegistry(t)
	image, catalog := r.host+"/team/image:1", r.host+"/team/catalog"
	if _, err := pushSample("disk", image, samples.Build{Architectures: []string{"arm64"}}); err != nil {
		t.Fatal(err)
	}
	env := homeEnv(t)
	if code, _, stderr := run(t, env, "catalog", "publish", image, "--catalog", catalog); code != 0 {
		t.Fatal(stderr)
	}
	r.takeWrites()
	code, stdout, stderr := run(t, env, "catalog", "remove", "image", "--force", "--reason", "a\nb", "--catalog", catalog)
	if code != exitInvalid || stdout != "" || !strings.Contains(stderr, "/reason") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if writes := r.takeWrites(); len(writes) > 0 {
		t.Errorf("written: %v", writes)
	}
}

// waiting is a person who looks at the question and does not answer.
type waiting struct{ asked func() }

func (w waiting) Read([]byte) (int, error) {
	w.asked()
	select {}
}

// An interrupt ends the question of remove: it is no answer.
func TestRemoveInterruptedAtTheQuestion(t *testing.T) {
	r := startRegistry(t)
	image, catalog := r.host+"/team/image:1", r.host+"/team/catalog"
	if _, err := pushSample("disk", image, samples.Build{Architectures: []string{"arm64"}}); err != nil {
		t.Fatal(err)
	}
	env := homeEnv(t)
	if code, _, stderr := run(t, env, "catalog", "publish", image, "--catalog", catalog); code != 0 {
		t.Fatal(stderr)
	}
	r.takeWrites()
	var out, errs bytes.Buffer
	remove := func(asked func(interrupt func()), args ...string) (code int) {
		out.Reset()
		errs.Reset()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		testwait.Return(t, "remove to end", func() {
			code = Main(ctx, append([]string{"catalog", "remove", "image", "--catalog", catalog}, args...), Streams{
				In: waiting{func() { asked(cancel) }}, Out: &out, Err: &errs, InTerminal: true, Now: time.Now,
				Getenv: func(name string) string { return env[name] },
			})
		})
		return code
	}
	if code := remove(func(interrupt func()) { interrupt() }); code != exitInterrupted || out.Len() > 0 || !strings.Contains(errs.String(), "? [y/N]") {
		t.Errorf("interrupted: exit code %d, want %d: %s%s", code, exitInterrupted, &out, &errs)
	}
	// On a busy machine the time may be up before it asks.
	var asked atomic.Bool
	for timeout := time.Second; !asked.Load() && timeout < testwait.Limit; timeout *= 4 {
		if code := remove(func(func()) { asked.Store(true) }, "--timeout", timeout.String()); code != exitTimeout || out.Len() > 0 {
			t.Errorf("out of time: exit code %d, want %d: %s%s", code, exitTimeout, &out, &errs)
		}
	}
	if !asked.Load() || !strings.Contains(errs.String(), "? [y/N]") {
		t.Errorf("out of time before the question: %s", &errs)
	}
	if writes := r.takeWrites(); len(writes) > 0 {
		t.Errorf("written: %v", writes)
	}
}

// A context that is over before anything began.
func TestInterruptedBeforeItBegan(t *testing.T) {
	r := startRegistry(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	env := homeEnv(t)
	code := Main(ctx, []string{"catalog", "list", "--catalog", r.host + "/team/catalog"}, Streams{
		In: strings.NewReader(""), Out: &out, Err: &errs, Now: time.Now, Getenv: func(name string) string { return env[name] },
	})
	if code != exitInterrupted || errs.String() != "error: interrupted\n" {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
}

// A config file is read whole or not at all.
func TestHugeConfig(t *testing.T) {
	env := homeEnv(t)
	dir := filepath.Join(env["XDG_CONFIG_HOME"], "caib")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	text := "output: name\n" + strings.Repeat("# x\n", maxConfig/4) + "colour: red\n"
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, env, "catalog", "list")
	if code != exitInvalid || stdout != "" || !strings.Contains(stderr, "config.yaml: longer than") {
		t.Errorf("exit code %d: %s%s", code, stdout, quoted(stderr))
	}
}
