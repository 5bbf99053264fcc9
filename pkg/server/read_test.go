package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// contractFields are the item fields that clients rely on. Those marked are
// there only where they say something.
var contractFields = strings.Fields(`name registryUrl digest tags phase architecture distro distroVersion? targets bootc sizeBytes layerCount
 lastVerified publishedAt createdAt sourceImageBuild? sourceType scheduleName? buildMode? exportFormat? labels artifactRefs? downloadUrl isMultiArch
 platformVariants? accessCount statusReason? statusMessage? version description? kernelVersion? publishedBy build? revision verdict? conditions?
 imageCreatedAt? referrers? catalog?`)

func TestItemFieldsAreThoseOfTheContract(t *testing.T) {
	w := newWorld(t)
	w.publish("autosd")
	w.startReady(nil)
	item := decode[map[string]any](t, w.ask("GET", "/v1/catalog/images/autosd", ""))
	for _, field := range contractFields {
		if _, ok := item[field]; !ok && !strings.HasSuffix(field, "?") {
			t.Errorf("the item has no %s", field)
		}
		delete(item, strings.TrimSuffix(field, "?"))
	}
	if len(item) > 0 {
		t.Errorf("the item has more than the contract says: %v", item)
	}
	listed := decode[map[string]any](t, w.ask("GET", "/v1/catalog/images", ""))
	if listed["total"] != 1.0 || len(listed["items"].([]any)) != 1 {
		t.Errorf("the list is %v", listed)
	}
}

func TestDefaultsOfTheList(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("image-%02d", i))
	}
	w.publish(all...)
	w.startReady(nil)
	slices.Reverse(all)
	first := w.list("")
	if len(first.Items) != 20 || first.Total != 25 || first.Continue == "" || names(first) != fmt.Sprint(all[:20]) {
		t.Errorf("%d of %d, continue %q: %s", len(first.Items), first.Total, first.Continue, names(first))
	}
	rest := w.list("?continue=" + first.Continue)
	if names(rest) != fmt.Sprint(all[20:]) || rest.Continue != "" || rest.Total != 25 {
		t.Errorf("the second page: %s, continue %q", names(rest), rest.Continue)
	}
	for query, want := range map[string]string{
		"?limit=1&sort=name":                  "[image-00]",
		"?target=image-07":                    "[image-07]",
		"?architecture=aarch64&limit=1":       "[image-24]",
		"?label=team=image-03&tags=nightly":   "[image-03]",
		"?tags=nightly,none":                  "[]",
		"?phase=Failed":                       "[]",
		"?phase=ALL&limit=2&latest=false":     "[image-24 image-23]",
		"?as-of=2020-01-01T00:00:00Z":         "[]",
		"?as-of=2999-01-01T00:00:00Z&limit=1": "[image-24]",
		"?target=image-07&target=image-09":    "[image-09 image-07]",
		"?name=*-2*&limit=2":                  "[image-24 image-23]",
		"?search=TEAM%3Dimage-1&limit=1":      "[image-19]",
		"?format=none":                        "[]",
		"?since=1d&limit=1":                   "[image-24]",
		"?since=2999-01-01":                   "[]",
		"?as-of=3d":                           "[]",
		"?versions=true&name=image-03":        "[image-03]",
	} {
		if got := names(w.list(query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// Facets count all that matches, on every page and in every order, and have pages and
// an answer of their own.
func TestFacets(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	page := w.list("?facets=true&limit=1&name=*&sort=version")
	if page.Facets["target"]["a"] != 1 || page.Facets["phase"]["Available"] != 3 || len(page.Facets) != 7 || page.Facets["tags"]["nightly"] != 3 || page.Total != 3 {
		t.Errorf("facets %v of %d", page.Facets, page.Total)
	}
	next := w.list("?facets=true&limit=1&name=*&sort=version&continue=" + page.Continue)
	if diff := cmp.Diff(page.Facets, next.Facets); diff != "" || len(next.Items) != 1 || names(next) == names(page) {
		t.Errorf("the second page has %s after %s (-first +second)\n%s", names(next), names(page), diff)
	}
	if plain := w.list("?limit=1"); plain.Facets != nil {
		t.Errorf("facets that nobody asked for: %v", plain.Facets)
	}
	if a := w.ask("GET", "/v1/catalog/images?limit=1&continue="+page.Continue, ""); a.status != 400 {
		t.Errorf("the token of another query: %d, want 400", a.status)
	}
}

// Pages fit together whatever is published between them, and whichever server
// answers.
func TestPagesSurviveChanges(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c", "d", "e")
	w.startReady(nil)
	var seen []string
	query := "?sort=name&limit=2"
	for p := w.list(query); ; p = w.list(query + "&continue=" + p.Continue) {
		for _, item := range p.Items {
			seen = append(seen, item.Name)
		}
		if p.Continue == "" {
			break
		}
		if len(seen) == 2 {
			w.publish("aa")
			w.until("shown", func() bool { return w.list("").Total == 6 })
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestBadQueriesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	token := w.list("?limit=1").Continue
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1&limit=2", "nope=1", "LIMIT=1", "latest=yes", "sort=age", "phase=nice",
		"continue=x", "continue=" + token + "x", "limit=1&sort=name&continue=" + token, "as-of=yesterday", "as-of=3D", "since=soon", "since=", "name=A*", "name=", "versions=1", "facets=yes", "sort=age", "search=" + strings.Repeat("x", 257), "tags=a,,b", "tags=", "label=x", "label==x",
		"label=a=1&label=a=2", "distro=%00", "distro=%ff", "distro=%1b", "%zz=1", "a=1;b=2", "distro=" + strings.Repeat("x", 5000), "distro=a&distro=b",
		"tags=" + strings.Repeat("a,", 100) + "a",
	} {
		if a := w.ask("GET", "/v1/catalog/images?"+query, ""); a.status != 400 {
			t.Errorf("%.60s: %d %s", query, a.status, a.body)
		}
	}
	for _, path := range []string{"/v1/catalog/images/a?x=1", "/v1/catalog/history?x=1", "/v1/catalog/images/a/history?x=1", "/v1/catalog/events?x=1", "/v1/catalog/images/a?version=%00"} {
		if a := w.ask("GET", path, ""); a.status != 400 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestPathTricks(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(nil)
	for path, want := range map[string]int{
		"/v1/catalog/images/none":                         404,
		"/v1/catalog/images/NO":                           400,
		"/v1/catalog/images/a%2fb":                        400,
		"/v1/catalog/images/..%2f..%2fetc":                400,
		"/v1/catalog/images/%2e%2e":                       400,
		"/v1/catalog/images/a%00":                         400,
		"/v1/catalog/images/%ff":                          400,
		"/v1/catalog/images/../images/a":                  400,
		"/v1/catalog/images//a":                           400,
		"/v1/catalog/images/./a":                          400,
		"/v1/catalog/images/a/../../../etc":               400,
		"/v1/catalog/images/":                             400,
		"/v1/catalog/images/" + strings.Repeat("a", 97):   400,
		"/v1/catalog/images/" + strings.Repeat("a", 2000): 400,
		"/v2/": 400,
		"/":    404,
	} {
		if a := w.ask("GET", path, ""); a.status != want {
			t.Errorf("%.60s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
}

// Each form has the same content, and HEAD says of it what GET does.
func TestCompressed(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	plain := w.ask("GET", "/v1/catalog/images", "")
	for encoding, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	} {
		packed := w.ask("GET", "/v1/catalog/images", "", "Accept-Encoding: "+encoding)
		if packed.header.Get("Content-Encoding") != encoding || packed.header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("%s: %v", encoding, packed.header)
		}
		reader, err := open(strings.NewReader(string(packed.body)))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(reader); err != nil || string(text) != string(plain.body) {
			t.Errorf("%s: %v, other bytes", encoding, err)
		}
		head := w.ask("HEAD", "/v1/catalog/images", "", "Accept-Encoding: "+encoding)
		for _, key := range []string{"ETag", "Content-Length", "Content-Encoding", "Content-Type", "Vary"} {
			if got, want := head.header.Get(key), packed.header.Get(key); got != want || got == "" {
				t.Errorf("HEAD, %s: %s %q, GET has %q", encoding, key, got, want)
			}
		}
	}
	if a := w.ask("GET", "/v1/catalog/images", "", "Accept-Encoding: gzip;q=0, zstd;q=0"); a.header.Get("Content-Encoding") != "" {
		t.Errorf("refused encodings are used: %v", a.header)
	}
}

// Each form has an ETag of its own, which holds until the catalog changes.
func TestConditional(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	etags := map[string]string{} // encodings by ETag
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		etags[w.ask("GET", "/v1/catalog/images", "", "Accept-Encoding: "+encoding).header.Get("ETag")] = encoding
	}
	if len(etags) != 3 {
		t.Errorf("the forms have the ETags %v, want three", etags)
	}
	for etag, encoding := range etags {
		if strings.HasPrefix(etag, "W/") {
			t.Errorf("%s is weak", etag)
		}
		for _, known := range []string{`"x", ` + etag, "W/" + etag, "*"} {
			a := w.ask("GET", "/v1/catalog/images", "", "If-None-Match: "+known, "Accept-Encoding: "+encoding)
			if a.status != 304 || len(a.body) != 0 || a.header.Get("ETag") != etag || a.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s, If-None-Match %s: %d %v", encoding, known, a.status, a.header)
			}
		}
		for other, encoding := range etags { // another form is another representation
			if a := w.ask("GET", "/v1/catalog/images", "", "If-None-Match: "+etag, "Accept-Encoding: "+encoding); other != etag && a.status != 200 {
				t.Errorf("%s for %s: %d", etag, encoding, a.status)
			}
		}
	}
	if a := w.ask("GET", "/v1/catalog/images", "", "If-None-Match: \"x\""); a.status != 200 {
		t.Errorf("another ETag: %d", a.status)
	}
	plain := w.ask("GET", "/v1/catalog/images", "").header.Get("ETag")
	before := w.list("").Items[0].Name
	w.publish("d")
	w.until("another state", func() bool { return w.list("").Items[0].Name != before })
	if a := w.ask("GET", "/v1/catalog/images", "", "If-None-Match: "+plain); a.status != 200 {
		t.Errorf("after a change: %d", a.status)
	}
}

// Two servers that have read the same log give the same bytes under the same
// ETags.
func TestReplicasGiveTheSameETags(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	other := &world{t: t, host: w.host, client: w.client, log: &buffer{}, cache: w.cache}
	other.catalog = other.open("team/catalog")
	other.startReady(nil)
	for _, path := range []string{"/v1/catalog/images", "/v1/catalog/images?limit=1", "/v1/catalog/images/a", "/v1/catalog/history", "/openapi.json"} {
		a, b := w.ask("GET", path, ""), other.ask("GET", path, "")
		if a.header.Get("ETag") == "" || a.header.Get("ETag") != b.header.Get("ETag") || string(a.body) != string(b.body) {
			t.Errorf("%s: %s and %s", path, a.header.Get("ETag"), b.header.Get("ETag"))
		}
	}
}

func TestHistoryAndVersions(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	item, err := w.catalog.Get(t.Context(), "b", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	between := item.PublishedAt.String()
	if _, err := w.catalog.Remove(t.Context(), "b", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.startReady(nil)
	if got := decode[map[string]any](t, w.ask("GET", "/v1/catalog/history", "")); got["total"] != 3.0 {
		t.Errorf("history: %v", got)
	}
	if got := decode[map[string]any](t, w.ask("GET", "/v1/catalog/images/b/history", "")); got["total"] != 2.0 {
		t.Errorf("history of b: %v", got)
	}
	for path, want := range map[string]int{
		"/v1/catalog/images/b": 404, "/v1/catalog/images/b?as-of=" + between: 200, "/v1/catalog/images/a?version=1": 200,
		"/v1/catalog/images/a?version=2": 404, "/v1/catalog/images/none/history": 404,
	} {
		if a := w.ask("GET", path, ""); a.status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
}

func TestDescriptionIsServed(t *testing.T) {
	w := newWorld(t)
	w.startReady(nil)
	document := decode[map[string]any](t, w.ask("GET", "/openapi.json", ""))
	if document["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", document["openapi"])
	}
	paths, _ := json.Marshal(document["paths"])
	for _, route := range api.Routes() {
		_, path, _ := strings.Cut(route, " ")
		if !strings.Contains(string(paths), `"`+path+`"`) {
			t.Errorf("%s is not described", route)
		}
	}
	if got, want := len(document["paths"].(map[string]any)), 12; got != want {
		t.Errorf("%d paths are described, want %d", got, want)
	}
}

func TestHead(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(nil)
	for _, path := range []string{"/v1/catalog/images", "/v1/catalog/images/a", "/readyz", "/openapi.json"} {
		if a := w.ask(http.MethodHead, path, ""); a.status != 200 || len(a.body) != 0 {
			t.Errorf("HEAD %s: %d, %d bytes", path, a.status, len(a.body))
		}
	}
}

func TestEncodingsByQuality(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	for header, want := range map[string]string{
		"gzip": "gzip", "GZIP": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "gzip;q=1, zstd;q=0.5": "gzip", "zstd;q=0.5, gzip;q=0.6": "gzip",
		"*": "zstd", "*;q=0.5, gzip": "gzip", "*, zstd;q=0": "gzip", "identity": "", "identity, gzip;q=0.5": "", "gzip;q=0": "", "gzip; q=0.001": "gzip",
		"br": "", "gzip;q=x": "", "gzip;q=2": "", "gzip;q=-1": "", "": "", "identity;q=0, *;q=0": "",
	} {
		request, err := http.NewRequest("GET", w.url+"/v1/catalog/images", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", header)
		response, err := forwarding.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", header, got, want)
		}
	}
}
