package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// target is a place for images and a catalog: a registry or a
// directory.
type target struct {
	name      string
	catalog   string                   // reference of the catalog
	image     func(name string) string // reference of the repository or layout of an image
	referrers bool                     // lists referrers by itself
}

// targets returns the directory layout and every real registry, started when a
// test asks for them.
func targets() map[string]func(t testing.TB) target {
	all := map[string]func(t testing.TB) target{
		"layout": func(t testing.TB) target {
			dir := t.TempDir()
			return target{
				name:      "layout",
				catalog:   "oci:" + filepath.Join(dir, "catalog"),
				image:     func(name string) string { return "oci:" + filepath.Join(dir, "images", name) },
				referrers: true,
			}
		},
	}
	for _, kind := range registries.All() {
		all[kind.Name] = func(t testing.TB) target {
			server := kind.Start(t)
			return at(server.Host, kind.Name, server.Referrers)
		}
	}
	return all
}

// at is the target of a registry host.
func at(host, name string, referrers bool) target {
	return target{
		name: name, catalog: host + "/team/catalog", referrers: referrers,
		image: func(image string) string { return host + "/os/" + image },
	}
}

// onEach runs a test on one target after the other, each in a world of its own.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	for name, start := range targets() {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, start(t))) })
	}
}

// onEvery runs a test on all targets at once, each in a world of its own.
func onEvery(t *testing.T, test func(t *testing.T, w *world)) {
	for name, start := range targets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, start(t)))
		})
	}
}

// world is a target, the caib binary, and a home directory.
type world struct {
	t    testing.TB
	on   target
	caib string
	env  []string
	way  []string // to its registries, where they are not asked directly: of every machine
}

func newWorld(t testing.TB, on target) *world {
	t.Helper()
	return &world{t: t, on: on, caib: tools.Caib(t), env: []string{"HOME=" + t.TempDir(), "CAIB_CATALOG=" + on.catalog}}
}

// run runs caib to its end.
func (w *world) run(args ...string) tools.Result {
	w.t.Helper()
	return tools.Run(w.t, w.env, w.caib, args...)
}

// ok runs caib, which must succeed.
func (w *world) ok(args ...string) tools.Result {
	w.t.Helper()
	return w.exits(0, args...)
}

// exits runs caib, which must end with the given code.
func (w *world) exits(code int, args ...string) tools.Result {
	w.t.Helper()
	result := w.run(args...)
	if result.Code != code {
		w.t.Fatalf("caib %v: exit code %d, want %d\n%s%s", args, result.Code, code, result.Stdout, result.Stderr)
	}
	return result
}

// elsewhere is another machine of the same catalog: nothing that w has seen is known
// there.
func (w *world) elsewhere() *world {
	other := *w
	other.env = append([]string{"HOME=" + w.t.TempDir(), "CAIB_CATALOG=" + w.on.catalog}, w.way...)
	return &other
}

// list returns the live entries as a process with an empty cache sees them.
func (w *world) list(args ...string) []entry.Item {
	w.t.Helper()
	result := w.elsewhere().ok(append([]string{"catalog", "list", "-o", "json", "--sort", "name"}, args...)...)
	var page entry.Page
	if err := json.Unmarshal([]byte(result.Stdout), &page); err != nil {
		w.t.Fatalf("%v\n%s", err, result.Stdout)
	}
	return page.Items
}

func diffNames(want []string, items []entry.Item) string { return cmp.Diff(want, names(items)) }

func names(items []entry.Item) []string {
	all := []string{}
	for _, item := range items {
		all = append(all, item.Name)
	}
	return all
}

// push pushes a bootc sample and returns its reference. The content differs by
// name and tag.
func (w *world) push(name, tag string, architectures ...string) string {
	w.t.Helper()
	reference := w.on.image(name) + ":" + tag
	if err := pushSample(w.t.Context(), reference, name+tag, architectures...); err != nil {
		w.t.Fatal(err)
	}
	return reference
}

func pushSample(ctx context.Context, reference, version string, architectures ...string) error {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return err
	}
	to, err := client.Open(ref)
	if err != nil {
		return err
	}
	if len(architectures) == 0 {
		architectures = []string{"arm64"}
	}
	_, err = samples.Bootc(ctx, to, ref.Tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: architectures, Version: version,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	})
	return err
}

// pushMany pushes count samples below one name and returns their references.
func (w *world) pushMany(name string, count int) []string {
	w.t.Helper()
	references := make([]string, count)
	for i := range references {
		references[i] = w.push(name, fmt.Sprintf("v%03d", i))
	}
	return references
}

func TestMain(m *testing.M) {
	code := m.Run()
	tools.Clean()
	os.Exit(code)
}
