package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const axeVersion = "4.10.3"

// axe is the source of axe-core, which finds what keeps people from using a page. Where
// npm cannot have it, the test says so and ends.
func axe(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is missing: accessibility is not tested")
	}
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), npm, "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "axe-core@"+axeVersion)
	command.Env = append(os.Environ(), "npm_config_cache="+filepath.Join(dir, "cache"), "npm_config_fetch_timeout=60000", "npm_config_fetch_retries=1")
	if text, err := command.CombinedOutput(); err != nil {
		t.Skipf("axe-core cannot be had, accessibility is not tested: %v\n%s", err, text)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// No page keeps anybody out: axe-core finds nothing serious, light and dark, wide and on
// a phone.
func accessibility(t *testing.T, d *demo) {
	source := axe(t)
	p := d.open(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 375} {
			p.do("look", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.EmulateViewport(width, 900))
			for _, path := range []string{"/", "/?format=qcow2&search=autosd", "/?search=nothing-has-this", "/entry/autosd", "/entry/autosd?version=10.1", "/entry/simulator-disk", "/changes", "/docs"} {
				p.visit(path)
				var found []string
				p.do("axe", chromedp.Evaluate(source+";undefined", nil), chromedp.Evaluate(
					`axe.run().then(r => r.violations.filter(v => ["serious", "critical"].includes(v.impact)).map(v => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary).join("; ")))`,
					&found, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
				for _, one := range found {
					t.Errorf("%s, %s, %d pixels: %s", path, scheme, width, strings.Join(strings.Fields(one), " "))
				}
			}
		}
	}
	// That it would find something.
	var bad int
	p.do("axe", chromedp.Evaluate(fmt.Sprintf(`document.querySelector("main").insertAdjacentHTML("beforeend", %q); axe.run().then(r => r.violations.length)`, `<button></button>`),
		&bad, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	if bad == 0 {
		t.Error("a button without a name is not found")
	}
}
