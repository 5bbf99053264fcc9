package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
)

const bearer = "Authorization: Bearer " + secret

// Without a publisher, no method on any route writes anything.
func TestReadOnlyServerWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	image := w.push("os/new", "1")
	w.startReady(nil)
	before := w.writes.Load()
	paths := []string{"/", "/v2/"}
	for _, route := range api.Routes() {
		_, path, _ := strings.Cut(route, " ")
		paths = append(paths, strings.ReplaceAll(path, "{name}", "a"))
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if method == "GET" && strings.HasSuffix(path, "/events") {
				continue // it does not end
			}
			for _, body := range []string{"", `{"name":"new","registryUrl":"` + image + `"}`, `{"image":"` + image + `"}`} {
				a := w.ask(method, path, body, bearer)
				verify := method == "POST" && strings.HasSuffix(path, "/verify")
				if method != "GET" && method != "HEAD" && a.status < 400 && !verify {
					t.Errorf("%s %s: %d", method, path, a.status)
				}
			}
		}
	}
	if got := w.writes.Load(); got != before {
		t.Errorf("%d requests wrote to the registry", got-before)
	}
	if a := w.ask("POST", "/v1/catalog/publish", `{"image":"`+image+`"}`, bearer); a.status != 403 {
		t.Errorf("publish: %d %s", a.status, a.body)
	}
	if a := w.ask("PUT", "/v1/catalog/images", ""); a.status != 405 || a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

// addition is the body of a request to add an image as autosd.
func addition(image string) string {
	return `{"name":"autosd","registryUrl":"` + image + `","tags":["nightly"],"targets":[{"name":"qemu","verified":true}],"bootc":true}`
}

// Who has a token publishes and removes. The audit says so, and holds no token.
func TestPublishesForThoseWhoMay(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	body := addition(w.push("os/autosd", "1"))
	for header, want := range map[string]int{
		"X-Nothing: x": 401, "Authorization: Bearer wrong-but-long-enough": 401, "Authorization: Basic " + secret: 401, "Authorization: " + secret: 401,
		"Authorization: Bearer": 401, "Authorization: Bearer " + strings.Repeat("x", 5000): 401,
	} {
		if a := w.ask("POST", "/v1/catalog/images", body, header); a.status != want {
			t.Errorf("%.40q: %d, want %d", header, a.status, want)
		}
	}
	a := w.ask("POST", "/v1/catalog/images", body, bearer)
	if a.status != 201 || a.header.Get("Location") != "/v1/catalog/images/autosd" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/autosd", ""))
	if item.PublishedBy != "ci" || item.SourceType != "External" || len(item.Targets) == 0 || !item.Bootc {
		t.Errorf("%+v", item)
	}
	second := w.push("os/autosd", "2")
	if a := w.ask("POST", "/v1/catalog/publish", `{"image":"`+second+`","name":"autosd","version":"2"}`, bearer); a.status != 201 {
		t.Fatalf("publish: %d %s", a.status, a.body)
	}
	if a := w.ask("POST", "/v1/catalog/publish", `{"image":"`+second+`","name":"autosd","version":"2"}`, bearer); a.status != 200 || !strings.Contains(string(a.body), `"unchanged"`) {
		t.Errorf("the same again: %d %s", a.status, a.body)
	}
	if a := w.ask("DELETE", "/v1/catalog/images/autosd?reason=old", "", bearer); a.status != 204 || len(a.body) != 0 {
		t.Errorf("remove: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/v1/catalog/images/autosd", ""); a.status != 404 {
		t.Errorf("after it was removed: %d", a.status)
	}
	if a := w.ask("DELETE", "/v1/catalog/images/autosd", "", bearer); a.status != 404 {
		t.Errorf("removed twice: %d", a.status)
	}
	text := w.log.String()
	if strings.Contains(text, secret) || strings.Contains(text, "wrong-but") {
		t.Errorf("a token is in the log:\n%s", text)
	}
	for _, line := range []string{"action=remove by=ci name=autosd digest=sha256:", "action=add by=ci name=autosd digest=sha256:"} {
		if !strings.Contains(text, line) {
			t.Errorf("the audit lacks %s:\n%s", line, text)
		}
	}
}

// What is no request, or asks for what no server does, is refused by its kind.
func TestRefusedPublications(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	image := w.push("os/autosd", "1")
	body, second := addition(image), w.push("os/autosd", "2")
	if a := w.ask("POST", "/v1/catalog/images", body, bearer); a.status != 201 {
		t.Fatalf("add: %d %s", a.status, a.body)
	}
	for body, want := range map[string]int{
		body: 409, `{"name":"x","registryUrl":"` + w.host + `/os/none:1"}`: 404, `{"name":"NO","registryUrl":"` + image + `"}`: 400, `{`: 400, `[]`: 400, ``: 400,
		`{"name":"x","registryUrl":"` + image + `","nope":1}`: 400, `{"name":"x","registryUrl":"oci:/etc"}`: 400, `{"name":"x","registryUrl":"` + image + `","digest":"x"}`: 400,
		`{"name":"x","registryUrl":"` + image + `","disk":"oci:/etc"}`: 400,
		"{\"name\":\"x\",\"registryUrl\":\"\xff\"}":                    400, `{"name":"x","registryUrl":"` + strings.Repeat("x", 300<<10) + `"}`: 413,
		`{"name":"y","registryUrl":"` + w.push("os/y", "1") + `","digest":"sha256:` + strings.Repeat("0", 64) + `"}`: 422,
	} {
		a := w.ask("POST", "/v1/catalog/images", body, bearer)
		if a.status != want || strings.Contains(body, "oci:") != strings.Contains(string(a.body), "from registries only") {
			t.Errorf("%.80q: %d, want %d: %s", body, a.status, want, a.body)
		}
	}
	for body, want := range map[string]int{
		`{"imageBuildName":"none"}`: 404, `{}`: 400, `{"image":"x","imageBuildName":"y"}`: 400, `{"image":"oci:/etc:1"}`: 400, `{"image":"` + second + `","disk":"oci:/etc"}`: 400,
		`{"image":"` + second + `","name":"z","build":{"url":"javascript:alert(1)"}}`: 400, `{"image":"` + second + `","name":"z","build":{"url":"https://me:secret@ci"}}`: 400,
		`{"image":"` + second + `","name":"z","build":{"nope":1}}`: 400, `{"image":"` + second + `","name":"z","build":{"ref":"\u202e"}}`: 400,
	} {
		a := w.ask("POST", "/v1/catalog/publish", body, bearer)
		if a.status != want || strings.Contains(body, "oci:") != strings.Contains(string(a.body), "from registries only") {
			t.Errorf("%s: %d, want %d: %s", body, a.status, want, a.body)
		}
	}
	if got := strings.Count(w.log.String(), "msg=audit"); got < 9 {
		t.Errorf("got %d lines of audit, want one for each request that was read", got)
	}
}

// A build that the catalog knows is published again, under another name.
func TestPublishesAKnownBuild(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	image := w.push("os/autosd", "1")
	if a := w.ask("POST", "/v1/catalog/publish", `{"image":"`+image+`","description":"good","labels":{"team":"a"},"source":{"type":"ImageBuild","imageBuild":"nightly-7"}}`, bearer); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := w.ask("POST", "/v1/catalog/publish", `{"imageBuildName":"nightly-7","catalogImageName":"release","tags":["stable"]}`, bearer)
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := w.list("")
	if names(got) != "[release]" || got.Items[0].SourceImageBuild != "nightly-7" || got.Items[0].Tags[0] != "stable" || got.Items[0].Description != "good" || got.Items[0].Labels["team"] != "a" {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{string("action=publish by=ci name=release digest=" + got.Items[0].Digest + " outcome=published"), string("action=remove by=ci name=autosd digest=" + got.Items[0].Digest + ` outcome="moved to release"`)} {
		if !strings.Contains(w.log.String(), line) {
			t.Errorf("the audit lacks %s", line)
		}
	}
	if a := w.ask("POST", "/v1/catalog/publish", `{"imageBuildName":"nightly-7"}`, bearer); a.status != 200 || !strings.Contains(string(a.body), `"unchanged"`) {
		t.Errorf("with nothing else asked: %d %s", a.status, a.body)
	}
}

// A line of the audit says what was asked for, also where nothing came of it.
func TestAuditSaysWhatWasAsked(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	image := w.push("os/autosd", "1")
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		path, body string
		status     int
		line       string
	}{
		{"publish", `{"image":"` + image + `","name":"dry","dryRun":true}`, 200, `action=publish by=ci name=dry digest=sha256:`},
		{"images", `{"name":"gone","registryUrl":"` + w.host + `/os/none:1"}`, 404, `action=add by=ci name=gone digest="" outcome="`},
		{"images", `{"name":"pinned","registryUrl":"` + image + `","digest":"` + digest + `"}`, 422, `action=add by=ci name=pinned digest=` + digest + ` outcome="conflict`},
		{"publish", `{"image":"` + image + `","nope":1}`, 400, `action=publish by=ci name="" digest="" outcome="invalid`},
	} {
		if a := w.ask("POST", "/v1/catalog/"+tt.path, tt.body, bearer); a.status != tt.status || a.header.Get("Location") != "" {
			t.Errorf("%s: %d, Location %q", tt.body, a.status, a.header.Get("Location"))
		}
		if text := w.log.String(); !strings.Contains(text, tt.line) {
			t.Errorf("%s: no line %s", tt.body, tt.line)
		}
	}
	w.ask("DELETE", "/v1/catalog/images/autosd", "")
	for _, want := range []string{"outcome=planned", `action=remove by=unknown name=autosd digest="" outcome="refused: no token of ours"`} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("the audit lacks %s:\n%s", want, w.log.String())
		}
	}
	if text := string(w.ask("GET", "/metrics", "").body); !strings.Contains(text, `caib_publishes_total{action="publish",outcome="planned"} 1`) || !strings.Contains(text, `caib_publishes_total{action="add",outcome="not_found"} 1`) {
		t.Error("the metrics count otherwise")
	}
}

// A registry that does not answer keeps the writers of other images from
// nothing.
func TestWritersDoNotWaitForEachOthersRegistries(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(w.allowPublish)
	asked, release := make(chan struct{}), make(chan struct{})
	hanging := sync.OnceFunc(func() { close(asked) })
	w.refusing(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v2/os/hanging/") {
			hanging()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return false
	})
	first := make(chan int)
	go func() {
		first <- w.ask("POST", "/v1/catalog/publish", `{"image":"`+w.host+`/os/hanging:1"}`, bearer).status
	}()
	testwait.Receive(t, "a request to the registry that hangs", asked)
	if a := w.ask("DELETE", "/v1/catalog/images/a", "", bearer); a.status != 204 {
		t.Errorf("removed meanwhile: %d %s", a.status, a.body)
	}
	close(release)
	if status := testwait.Receive(t, "the answer to the one that waited", first); status != 404 {
		t.Errorf("the one that waited: %d", status)
	}
}

// Only the first catalog is written to.
func TestRemovesFromTheFirstCatalogOnly(t *testing.T) {
	w := newWorld(t)
	first := w.catalog
	second := w.open("other/catalog")
	w.catalog = second
	w.publish("b")
	w.startReady(func(o *server.Options) {
		w.catalog = first
		w.allowPublish(o)
		o.Catalogs = []*catalog.Catalog{first, second}
	})
	if a := w.ask("DELETE", "/v1/catalog/images/b", "", bearer); a.status != 404 || !strings.Contains(string(a.body), "it is in "+second.Reference()) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Tokens are read again when the file changes; while it is broken, nobody may
// publish.
func TestTokensAreReadAgain(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	const one, two = "a:5ffc81ae76de8d541e73aa5aa5bc9cebd3df6f6a4aeb4e1ff4e4c7ba4d0ec67f\n", "ci:8bb0cf6eb9b17d0f7d22b456f121257dc1254e1f01665370476383ea776df414\n"
	write(one)
	w.startReady(func(o *server.Options) { o.TokenFile = path })
	ask := func() int {
		return w.ask("DELETE", "/v1/catalog/images/none", "", "Authorization: Bearer 1234567890abcdef-token").status
	}
	if got := ask(); got != 401 {
		t.Errorf("before: %d", got)
	}
	write(one + "b:" + sum("1234567890abcdef-token") + "\n" + two)
	if got := ask(); got != 404 {
		t.Errorf("after it was added: %d", got)
	}
	write("nonsense\n")
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("broken: %d", got)
	}
	write(one)
	if got := ask(); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	for _, text := range []string{"", "# only this\n", "a\n", "a:xyz\n", "a b:" + sum("x") + "\n", ":" + sum("x") + "\n"} {
		write(text)
		if _, err := server.OpenTokens(path); err == nil {
			t.Errorf("%q is a token file", text)
		}
	}
}
