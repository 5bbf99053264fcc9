package browser

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	cdp "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// One demo and one browser are enough for all that the page does. Those that change what
// is in the catalog come last.
func TestPage(t *testing.T) {
	d := startDemo(t)
	for _, one := range []struct {
		name string
		test func(t *testing.T, d *demo)
	}{
		{"screenshots", takeScreenshots}, {"accessibility", accessibility}, {"keyboard", keyboard}, {"without script", withoutScript},
		{"what people do", use}, {"hostile texts", hostileTexts},
	} {
		t.Run(one.name, func(t *testing.T) { one.test(t, d) })
	}
}

// What people do with the page: find, filter, go back, open, copy, and see what changes.
func use(t *testing.T, d *demo) {
	p := d.open(t)
	p.visit("/")
	if rows := p.rows(); len(rows) != 9 || !slices.Contains(rows, "autosd") {
		t.Fatalf("the list has %v", rows)
	}
	p.do("type", chromedp.SendKeys("#q", "cockpit"))
	p.wants("the list of what was typed", "cockpit", "cockpit-disk")
	if got := p.query().Get("search"); got != "cockpit" {
		t.Errorf("the address searches %q", got)
	}
	p.do("filter", chromedp.Click(`[data-key="format=qcow2"]`))
	p.wants("the list that is filtered, too", "cockpit-disk")
	if chosen := value[string](p, `document.querySelector("[data-key='format=qcow2']").getAttribute("aria-current")`); chosen != "true" {
		t.Errorf("the filter is shown as chosen: %q", chosen)
	}
	if focused := value[string](p, `document.activeElement.dataset.key || ""`); focused != "format=qcow2" {
		t.Errorf("after the filter was chosen, %q has the focus", focused)
	}
	p.do("go back", chromedp.Evaluate("history.back()", nil))
	p.wants("the list before", "cockpit", "cockpit-disk")
	p.visit("/?search=cockpit&format=qcow2") // as it was sent to somebody
	p.wants("the list of the address", "cockpit-disk")

	p.do("open", chromedp.Click(".row h3 a"))
	p.until("the entry", `document.querySelector("h1").textContent.startsWith("cockpit-disk")`)
	p.do("let it copy", cdp.SetPermission(&cdp.PermissionDescriptor{Name: "clipboard-read"}, cdp.PermissionSettingGranted))
	p.do("copy", chromedp.Click("[data-copy]"))
	p.until("that it is copied", `document.querySelector("[data-copy]").textContent === "Copied"`)
	line := value[string](p, `document.querySelector(".command code").textContent`)
	if !strings.HasPrefix(line, "caib catalog pull cockpit-disk --catalog "+d.catalog) {
		t.Errorf("the line is %q", line)
	}

	p.until("events of the entry", `!document.getElementById("live").hidden`)
	d.caib(t, "edit", "gateway", "--tags", "+other")
	d.caib(t, "edit", "cockpit-disk", "--tags", "+seen")
	p.until("the news of the entry", `document.getElementById("news").textContent.startsWith("cockpit-disk was published")`)
	p.do("show it", chromedp.Click("#news button"))
	p.until("the entry as it is now", `document.body.innerText.includes("seen")`)

	p.visit("/")
	p.until("events", `!document.getElementById("live").hidden`)
	d.caib(t, "edit", "rescue", "--description", "It changed while somebody looked.")
	p.until("the change", `document.body.innerText.includes("It changed while somebody looked.")`)
	d.caib(t, "remove", "rescue", "--force")
	p.until("the removal", `![...document.querySelectorAll(".row h3 a")].some(a => a.textContent === "rescue")`)
	p.visit("/changes")
	p.until("what happened", `document.querySelector(".events li").innerText.includes("rescue removed")`)
}

// Without script everything can be read, and links and forms lead everywhere.
func withoutScript(t *testing.T, d *demo) {
	p := d.open(t)
	p.do("no script", emulation.SetScriptExecutionDisabled(true))
	p.visit("/")
	var text string
	p.do("search", chromedp.SendKeys("#q", "gateway"), chromedp.Submit("#q"), chromedp.WaitVisible(".active a, .row"), chromedp.Text("#results", &text))
	p.do("open", chromedp.Click(".row h3 a"), chromedp.WaitVisible("#history"), chromedp.Text("#main", &text))
	for _, want := range []string{"gateway 1.9", "podman pull", "Published 1.9 by"} {
		if !strings.Contains(text, want) {
			t.Errorf("the entry does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Copy") {
		t.Error("it offers to copy, and cannot")
	}
}

// Entries whose texts want to be more are text, and break no page, on a phone either.
func hostileTexts(t *testing.T, d *demo) {
	for name, text := range map[string]string{
		"gateway": `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"><base href="https://evil.example/">`,
		"cockpit": strings.Repeat("unbreakable", 22), "autosd": "evil שלום עולם " + strings.Repeat("ש", 100), "telematics": `"></bdi></p></main><style>*{display:none}</style>`,
	} {
		d.caib(t, "edit", name, "--description", text, "--label", "note="+text)
	}
	p := d.open(t)
	p.do("a phone", chromedp.EmulateViewport(375, 800))
	for _, path := range []string{"/", "/entry/gateway", "/entry/cockpit", "/entry/autosd", "/entry/telematics", "/changes", "/docs", "/?search=%3Cscript%3Ealert(1)%3C/script%3E"} {
		p.visit(path)
		if found := value[int](p, `document.querySelectorAll("main script, main style, main base, main img, main iframe, main object, main svg, [style], [onerror]").length + (window.hacked || 0)`); found != 0 {
			t.Errorf("%s has %d foreign elements", path, found)
		}
		if wide := value[int](p, "document.documentElement.scrollWidth"); wide > 375 {
			t.Errorf("%s is %d pixels wide on a phone of 375", path, wide)
		}
	}
	p.visit("/entry/gateway")
	if text := value[string](p, `document.querySelector(".lead").textContent`); !strings.HasPrefix(text, "<script>window.hacked") {
		t.Errorf("the description is shown as %q", text)
	}
}

// By keyboard one comes to the content, to the search, and to the filters, in this order.
func keyboard(t *testing.T, d *demo) {
	p := d.open(t)
	p.visit("/")
	focused := func() string {
		return value[string](p, `document.activeElement.id || document.activeElement.textContent.trim()`)
	}
	var order []string
	for range 9 {
		p.do("tab", chromedp.KeyEvent(kb.Tab))
		order = append(order, focused())
	}
	if got := strings.Join(order, ", "); !strings.HasPrefix(got, "Skip to the content, caib catalog, Images, Changes, API, q, sort, Search, autosd") {
		t.Errorf("the keyboard leads to %s", got)
	}
	p.visit("/")
	p.do("skip", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	p.until("the content", `document.activeElement.id === "main"`)
	p.visit("/")
	p.do("choose", chromedp.Focus(`[data-key="distro=cs9"]`), chromedp.KeyEvent(kb.Enter))
	p.wants("what is filtered", "gateway", "rescue")
}

// make demo SERVE=1 starts what these tests are of.
func TestMakeDemo(t *testing.T) {
	text, err := exec.Command("make", "-n", "-C", "../..", "demo", "SERVE=1").CombinedOutput()
	if err != nil || !strings.Contains(string(text), "./examples/demo -caib bin/caib -serve 127.0.0.1:8080") {
		t.Errorf("make demo SERVE=1 would run %v:\n%s", err, text)
	}
}
