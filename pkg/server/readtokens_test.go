package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
)

// tokenOf is the token of a reader in tests.
func tokenOf(name string) string { return "the-read-token-of-" + name }

func readsAs(name string) string { return "Authorization: Bearer " + tokenOf(name) }

// readTokens writes a file of read tokens: NAME [CATALOG [PATTERN]], each line.
func (w *world) readTokens(lines ...string) func(*server.Options) {
	w.t.Helper()
	var text strings.Builder
	text.WriteString("# who may read\n")
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		fmt.Fprintf(&text, "%s %x %s\n", name, sha256.Sum256([]byte(tokenOf(name))), rest)
	}
	path := filepath.Join(w.t.TempDir(), "readers")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return func(o *server.Options) { o.ReadTokenFile = path }
}

// images is the path of the list.
const images = "/v1/catalog/images"

// withReaders is a server over five entries, which three have tokens for: all, for all of
// them, prod, for those called prod-*, and none, for others.
func withReaders(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.publish("prod-a", "prod-b", "dev-a")
	if _, err := w.catalog.Publish(t.Context(), w.host+"/os/prod-b:1", catalog.PublishOptions{Name: "dev-b", Version: "1", NoAttach: true, Move: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prod-c", "dev-c"} { // of one target: only dev-c is the latest
		if _, err := w.catalog.Publish(t.Context(), w.push("os/shared", name), catalog.PublishOptions{Name: name, Version: "1", NoAttach: true}); err != nil {
			t.Fatal(err)
		}
	}
	w.start(func(o *server.Options) {
		w.readTokens("all", "prod * prod-*", "none "+w.catalog.Reference()+" qa-*")(o)
		w.allowPublish(o)
	})
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "", readsAs("all")).status == 200 })
	w.until("all of it", func() bool {
		return strings.Contains(string(w.ask("GET", "/readyz", "", readsAs("all")).body), `"entries":5`)
	})
	return w
}

// A token for some names sees nothing else, by whatever route that lists.
func TestReadTokens(t *testing.T) {
	w := withReaders(t)
	reads := []string{images, images + "?latest=false&facets=true", images + "?versions=true&latest=false", images + "?as-of=1h", images + "/prod-a", images + "/prod-b", images + "/prod-a/history", "/v1/catalog/history", "/v1/catalog/changes"}
	for _, path := range reads {
		for _, header := range []string{"X: y", "Authorization: Bearer nobody-has-this-token", "Authorization: Basic " + tokenOf("all"), readsAs("prod") + "x"} {
			if a := w.ask("GET", path, "", header); a.status != 401 || a.header.Get("WWW-Authenticate") == "" || strings.Contains(string(a.body), "dev") {
				t.Errorf("%s with %q: %d %s, want 401", path, header, a.status, a.body)
			}
		}
		whole, part, none := w.ask("GET", path, "", readsAs("all")), w.ask("GET", path, "", readsAs("prod")), w.ask("GET", path, "", readsAs("none"))
		for whose, a := range map[string]answer{"prod": part, "none": none} {
			if strings.Contains(string(a.body), "dev-") {
				t.Errorf("%s tells %s of another: %s", path, whose, a.body)
			}
		}
		if whole.status == 200 && whole.header.Get("ETag") == part.header.Get("ETag") && !bytes.Equal(whole.body, part.body) {
			t.Errorf("%s: two answers have one ETag", path)
		}
		if part.status == 200 && (part.header.Get("Cache-Control") != "private, no-cache" || !strings.Contains(part.header.Get("Vary"), "Authorization")) {
			t.Errorf("%s may be kept for others: %v", path, part.header)
		}
	}
	seen := decode[page](t, w.ask("GET", images+"?latest=false&facets=true", "", readsAs("prod")))
	if seen.Total != 2 || seen.Facets["target"]["prod-a"] != 1 || len(seen.Facets["target"]) != 2 || len(seen.Items) != 2 {
		t.Errorf("prod sees %d of %d, facets %v", len(seen.Items), seen.Total, seen.Facets)
	}
	if latest := decode[page](t, w.ask("GET", images+"?versions=true", "", readsAs("prod"))); latest.Total != 2 {
		t.Errorf("the latest of what prod sees are %v", names(latest))
	}
}

// What is outside of a token's names is answered as what does not exist, and what is
// about all entries needs a token for all.
func TestReadTokensByName(t *testing.T) {
	w := withReaders(t)
	for _, path := range []string{images + "/%s", images + "/%s/history", images + "/%s?version=1", images + "/%s?as-of=2020-01-01"} {
		at := func(name string) answer { return w.ask("GET", fmt.Sprintf(path, name), "", readsAs("prod")) }
		outside, missing := at("dev-a"), at("dev-x")
		if outside.status != 404 || strings.ReplaceAll(string(outside.body), "dev-a", "dev-x") != string(missing.body) || outside.header.Get("ETag") != missing.header.Get("ETag") {
			t.Errorf("%s: outside %d %s, and what does not exist %d %s", path, outside.status, outside.body, missing.status, missing.body)
		}
	}
	if a := w.ask("POST", images+"/dev-a/verify", "", readsAs("prod")); a.status != 404 {
		t.Errorf("what is outside is verified: %d %s", a.status, a.body)
	}
	for who, want := range map[string]int{"all": 200, "prod": 403, "nobody": 401} {
		if a := w.ask("GET", "/metrics", "", readsAs(who)); a.status != want {
			t.Errorf("metrics for %s: %d, want %d", who, a.status, want)
		}
	}
	for who, want := range map[string]string{"prod": `"entries":2,`, "nobody": `"entries":0,`} {
		a := w.ask("GET", "/readyz", "", readsAs(who))
		if !strings.Contains(string(a.body), want) || a.status != 200 || who == "nobody" && strings.Contains(string(a.body), w.catalog.Reference()) {
			t.Errorf("readyz for %s: %d %s, want %s", who, a.status, a.body, want)
		}
	}
	if a := w.ask("GET", images+"/dev-a", "", "Authorization: Bearer "+secret); a.status != 200 {
		t.Errorf("whoever may publish may read: %d", a.status)
	}
}

// What moved since a state is told of what a token lets see, and moves of others leave
// its state as it was. So do events.
func TestReadTokensFollow(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a", "dev-a")
	w.start(w.readTokens("all", "prod * prod-*"))
	changes := func(since string) answer { return w.ask("GET", "/v1/catalog/changes"+since, "", readsAs("prod")) }
	w.until("the changes", func() bool { return strings.Contains(string(changes("").body), "prod-a") })
	type moved struct {
		Items []entry.Event
		State string
	}
	first := decode[moved](t, changes(""))
	events := w.listen("", readsAs("prod"))
	w.publish("dev-b")
	w.until("the other one", func() bool { return w.ask("GET", "/v1/catalog/images/dev-b", "", readsAs("all")).status == 200 })
	if again := decode[moved](t, changes("?since="+first.State)); again.State != first.State || len(again.Items) != 0 {
		t.Errorf("what it may not see moves it from %s to %+v", first.State, again)
	}
	w.publish("prod-b")
	w.until("its own", func() bool { return w.ask("GET", "/v1/catalog/images/prod-b", "", readsAs("prod")).status == 200 })
	if again := decode[moved](t, changes("?since="+first.State)); again.State == first.State || len(again.Items) != 1 || again.Items[0].Name != "prod-b" {
		t.Errorf("since then moved %+v, want prod-b", again)
	}
	second := decode[moved](t, changes(""))
	w.publish("dev-d", "prod-d")
	w.until("both", func() bool {
		return w.ask("GET", "/v1/catalog/images/dev-d", "", readsAs("all")).status+w.ask("GET", "/v1/catalog/images/prod-d", "", readsAs("all")).status == 400
	})
	if again := decode[moved](t, changes("?since="+second.State)); len(again.Items) != 1 || again.Items[0].Name != "prod-d" {
		t.Errorf("of two moves it is told %+v, want that of prod-d", again)
	}
	if a := changes("?since=" + strings.Repeat("0", 32)); a.status != 410 {
		t.Errorf("a state that was none: %d", a.status)
	}
	got := events.next(t)
	if !strings.Contains(got, `"name":"prod-b"`) {
		t.Errorf("the first event is %s, want that of prod-b", got)
	}
	id := strings.TrimPrefix(strings.SplitN(got, "\n", 2)[0], "id: ")
	if len(id) < 32 {
		t.Errorf("the id %q counts the events of others", id)
	}
	if got := events.next(t); !strings.Contains(got, `"name":"prod-d"`) {
		t.Errorf("the next event is %s, want that of prod-d", got)
	}
	if got := w.listen(id, readsAs("prod")).next(t); !strings.Contains(got, `"name":"prod-d"`) {
		t.Errorf("from where it was, it goes on with %s, want the event of prod-d", got)
	}
	if got := w.listen(id[:len(id)-1]+"x", readsAs("prod")).next(t); !strings.Contains(got, "event: reset") {
		t.Errorf("from nowhere it goes on with %s", got)
	}
}

// In a browser one signs in, and out again.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a", "dev-a")
	w.start(w.readTokens("all", "prod * prod-*"))
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "", readsAs("all")).status == 200 })
	if a := w.browse("/?search=prod"); a.status != 401 || !strings.Contains(string(a.body), `name="to" value="/?search=prod"`) || strings.Contains(string(a.body), "prod-a") || strings.Contains(string(a.body), w.host) {
		t.Errorf("without a token: %d\n%s", a.status, a.body)
	}
	if a := w.browse("/docs"); a.status != 200 || strings.Contains(string(a.body), w.host) {
		t.Errorf("the API's description: %d, or it names the catalog", a.status)
	}
	post := func(values url.Values, headers ...string) (status int, header http.Header) {
		_, a := w.send("POST", "/signin", values.Encode(), slices.Concat([]string{"Content-Type: application/x-www-form-urlencoded"}, headers)...)
		return a.status, a.header
	}
	if status, header := post(url.Values{"token": {"nobody-has-this-token"}}); status != 401 || header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong token: %d, %s", status, header.Get("Set-Cookie"))
	}
	if status, _ := post(url.Values{"token": {tokenOf("prod")}}, "Sec-Fetch-Site: cross-site"); status != 400 {
		t.Errorf("the form of another site: %d", status)
	}
	for to, want := range map[string]string{"/entry/prod-a": "/entry/prod-a", "/?search=a": "/?search=a", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "": "/"} {
		if status, header := post(url.Values{"token": {tokenOf("prod")}, "to": {to}}); status != 303 || header.Get("Location") != want {
			t.Errorf("to %q: %d, %q, want %q", to, status, header.Get("Location"), want)
		}
	}
	_, header := post(url.Values{"token": {tokenOf("prod")}})
	cookie := header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Max-Age") || strings.Contains(cookie, "Expires") {
		t.Errorf("the cookie is %q", cookie)
	}
	kept, _, _ := strings.Cut(cookie, ";")
	a := w.browse("/", "Cookie: "+kept)
	if a.status != 200 || !strings.Contains(string(a.body), "prod-a") || strings.Contains(string(a.body), "dev-a") || !strings.Contains(string(a.body), "Sign out") {
		t.Errorf("signed in: %d\n%s", a.status, a.body)
	}
	if a := w.ask("POST", "/v1/catalog/images/prod-a/verify", "", "Cookie: "+kept); a.status != 401 {
		t.Errorf("a cookie makes the server work: %d", a.status)
	}
	if _, header := post(url.Values{"forget": {"true"}}); !strings.Contains(header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signed out: %q", header.Get("Set-Cookie"))
	}
}

// A file that is malformed is refused with its line, and quotes no token.
func TestReadTokenFile(t *testing.T) {
	w := newWorld(t)
	hash := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"": "1: no token", "a": "1: want NAME", "a b": "1: want NAME", "# x\na " + hash + " * * x": "2: want NAME", "a " + hash + " other.example.com/c": `1: no catalog "other.example.com/c"`,
		"a " + hash + " * PROD": "1: ", "a:b " + hash: "1: want NAME",
	} {
		path := filepath.Join(t.TempDir(), "readers")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := server.New(server.Options{Catalogs: []*catalog.Catalog{w.open("team/some")}, ReadTokenFile: path})
		if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// That probes find another phase is audited.
func TestPhasesAreAudited(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.probing(func(context.Context, *entry.Item) error { return fmt.Errorf("gone: %w", entry.ErrNotFound) })
	w.startReady(nil)
	w.ask("POST", "/v1/catalog/images/a/verify", "")
	w.until("the line", func() bool {
		return strings.Contains(w.log.String(), `msg=audit id="" action=phase by=probe name=a`) && strings.Contains(w.log.String(), `outcome="Available to Failed: ManifestUnknown"`)
	})
}
