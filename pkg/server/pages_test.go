package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/server"
)

// browse asks for a page as a browser does. Headers are KEY: VALUE.
func (w *world) browse(path string, headers ...string) answer {
	w.t.Helper()
	_, a := w.send("GET", path, "", slices.Concat([]string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8"}, headers)...)
	return a
}

// shows asks for a page, which must have a status and some texts in it, and others not.
func (w *world) shows(path string, status int, texts ...string) string {
	w.t.Helper()
	a := w.browse(path)
	if a.status != status || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		w.t.Errorf("%s: status %d, %s, want %d and HTML\n%.500s", path, a.status, a.header.Get("Content-Type"), status, a.body)
	}
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(string(a.body), text) == not {
			w.t.Errorf("%s: the page has %q: %t\n%s", path, text, !not, a.body)
		}
	}
	return string(a.body)
}

// What there is can be read without a script: found, filtered, opened, its versions and
// its history, and what happened.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.publish("autosd", "cs9")
	if _, err := w.catalog.Publish(t.Context(), w.push("os/autosd", "2"), catalog.PublishOptions{Name: "autosd", Version: "2", NoAttach: true, Description: "for <b>boards</b>"}); err != nil {
		t.Fatal(err)
	}
	w.startReady(nil)
	w.shows("/", 200, `<strong>2</strong> images`, `href="/entry/autosd"`, "for &lt;b&gt;boards", "!<b>boards", `data-key="distro=autosd"`, `data-key="tags=nightly"`)
	w.shows("/?search=CS9&distro=&sort=created", 200, `<strong>1</strong> image`, `href="/entry/cs9"`, "!/entry/autosd", `value="CS9"`)
	w.shows("/?target=cs9&target=autosd&tags=nightly", 200, `<strong>1</strong>`, `href="/?tags=nightly&amp;target=autosd"`)
	w.shows("/?architecture=x86_64", 200, "No image matches", `data-key="architecture=amd64" aria-current="true"`)
	w.shows("/?versions=true&name=autosd", 200, `<strong>2</strong> images`, `/entry/autosd?version=1`)
	w.shows("/?phase=lost", 400, "phase &#34;lost&#34;", "!No image matches")
	w.shows("/?unheard=of", 400, "unknown parameter")
	w.shows("/?signed=verified", 400, "no trust policy")
	w.shows("/entry/autosd", 200, "<h1>autosd", "podman pull "+w.host+"/os/autosd@sha256:", "?version=1", "Published <bdi>1</bdi> by <bdi>alice@build", "This server checks no signatures", "!earlier state")
	w.shows("/entry/autosd?version=1", 200, "an earlier state", `href="/entry/autosd">Show the one of now`)
	w.shows("/entry/nobody", 404, "There is no such entry")
	w.shows("/changes", 200, `href="/entry/cs9"`, "published <bdi>2</bdi>")
	w.shows("/changes?from=x", 400)
	w.shows("/docs", 200, "/v1/catalog/images/{name}/verify", "ImageList", "token needed")
	for accept, want := range map[string]int{"application/json": 404, "*/*": 404, "text/html;q=0, */*": 404, "text/html; q=0.5, application/json": 200, "text/*": 200} {
		if a := w.browse("/", "Accept: "+accept); a.status != want {
			t.Errorf("who accepts %s gets %d, %s, want %d", accept, a.status, a.header.Get("Content-Type"), want)
		}
	}
}

// Pages carry what browsers protect them by, and are not sent twice.
func TestPageHeaders(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(nil)
	for _, path := range []string{"/", "/entry/a", "/entry/b", "/changes", "/docs", "/assets/style.css", "/assets/script.js"} {
		a := w.browse(path)
		if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for key, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := a.header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got, want)
			}
		}
		if again := w.browse(path, "If-None-Match: "+a.header.Get("ETag")); a.status == 200 && again.status != 304 {
			t.Errorf("%s: asked again, %d, want 304", path, again.status)
		}
	}
	if a := w.browse("/assets/../server.go"); a.status == 200 {
		t.Error("more than the assets is served")
	}
}

// Below a base path everything is found there, whether a proxy takes it away or not, and
// pages lead nowhere else.
func TestBasePath(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(func(o *server.Options) { o.BasePath = "/os/catalog" })
	for _, path := range []string{"/os/catalog/", "/os/catalog", "/"} {
		w.shows(path, 200, `href="/os/catalog/entry/a"`, `href="/os/catalog/assets/style.css?v=`, `data-base="/os/catalog"`, `!href="/entry`)
	}
	w.shows("/os/catalog/entry/a", 200, "<h1>a")
	if a := w.browse("/os/catalogs/entry/a"); a.status != 404 {
		t.Errorf("beside the base path: %d", a.status)
	}
	if a := w.browse("/os/catalog/v1/catalog/images"); a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("the API below the base path: %d", a.status)
	}
	for _, base := range []string{"os", "/os/", "/", "/a b", "/%2e", "/../x"} {
		if _, err := server.New(server.Options{Catalogs: []*catalog.Catalog{w.open("team/other")}, BasePath: base}); err == nil {
			t.Errorf("the base path %q is taken", base)
		}
	}
}

// Of many entries a browser gets a page, whose facets count all, and the way to the next.
func TestPageOfMany(t *testing.T) {
	w := newWorld(t)
	w.fill(120)
	w.startReady(nil)
	first := w.shows("/", 200, "<strong>120</strong> images", `data-key="target=qemu"`, `<span class="number">60<`)
	_, after, found := strings.Cut(first, `rel="next" href="`)
	if !found {
		t.Fatal("no way to the next page")
	}
	next, _, _ := strings.Cut(after, `"`)
	w.shows(strings.ReplaceAll(next, "&amp;", "&"), 200, "Back to the first", `href="/entry/image-00069"`, "!image-00070", `href="/entry/image-00020"`, "!image-00019")
}
