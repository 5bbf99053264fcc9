package page

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/net/html"

	"github.com/oci-catalog/caib/pkg/entry"
)

func newPages(t *testing.T, base string) *Pages {
	t.Helper()
	pages, err := New(base)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// manyItems are entries as people describe them, and the facets of very many.
func manyItems(count int) (items []entry.Item, facets entry.Facets) {
	at := entry.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for n := range count {
		items = append(items, entry.Item{
			Name: fmt.Sprintf("platform-integration-%05d", n), Version: fmt.Sprintf("10.%d.0-rc1", n), Phase: entry.PhaseAvailable, Verdict: entry.VerdictVerified,
			Description: strings.Repeat(fmt.Sprintf("Integration of build %d with all of its services. ", n), 10), CreatedAt: at, SizeBytes: 2 << 30,
			Distro: "autosd10-sig", PlatformVariants: []entry.Platform{{Architecture: "arm64"}, {Architecture: "amd64"}}, ExportFormat: "qcow2",
			Targets: []entry.Target{{Name: "ridesx4", Verified: true}, {Name: "qemu"}}, Tags: []string{"nightly", "integration", fmt.Sprint("build-", n)},
		})
	}
	facets = entry.Facets{}
	for _, f := range filters {
		facets[f.name] = map[string]int{}
		for n := range 200 {
			facets[f.name][fmt.Sprintf("a-long-value-%d", n)] = n + 1
		}
	}
	return items, facets
}

// The first list of a large catalog is small: so many entries, and so many values of each
// filter, whatever there is.
func TestFirstListIsSmall(t *testing.T) {
	pages := newPages(t, "")
	items, facets := manyItems(50)
	list, err := pages.List(&List{Items: items, Facets: facets, Total: 10_000, Next: strings.Repeat("x", 200), Query: url.Values{"search": {strings.Repeat("y", 100)}}})
	if err != nil {
		t.Fatal(err)
	}
	wire := bytes.Buffer{}
	packed := gzip.NewWriter(&wire)
	_, _ = packed.Write(list)
	for name, a := range pages.assets {
		_, _ = packed.Write(a.content)
		t.Logf("%s has %d bytes", name, len(a.content))
	}
	_ = packed.Close()
	t.Logf("the list has %d bytes; with all assets %d on the wire", len(list), wire.Len())
	if wire.Len() > 150<<10 || !strings.Contains(string(list), "10,000") {
		t.Errorf("the first list takes %d bytes on the wire, want at most %d", wire.Len(), 150<<10)
	}
}

// hostile are texts that somebody writes who wants a page to do or show something else.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'onmouseover='alert(1)`, `</title><svg onload=alert(1)>`, `javascript:alert(1)`,
	`{{.Title}}`, `<!--`, `]]>`, "\u202e\u2066evil\u2069", "שלום עולם", strings.Repeat("long", 1024), "\x00\x1b[31m", "&lt;script&gt;", `</textarea><base href=//evil.example>`,
}

// allowed are the elements that pages have.
var allowed = map[string]bool{}

func init() {
	for name := range strings.FieldsSeq("html head meta title link script body a header div img span nav form button main footer p code h1 h2 h3 label input select option section ul ol li details summary aside strong bdi time dl dt dd table thead tbody tr th td") {
		allowed[name] = true
	}
}

// foreign returns what a page has that is not of its templates: other elements, handlers,
// styles, scripts in the page, and addresses elsewhere.
func foreign(t *testing.T, page []byte) (found []string) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type == html.CommentNode {
			found = append(found, "a comment")
		}
		if node.Type != html.ElementNode {
			continue
		}
		if !allowed[node.Data] || node.Data == "script" && node.FirstChild != nil {
			found = append(found, node.Data)
		}
		for _, a := range node.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				found = append(found, node.Data+" "+a.Key)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/base/") && !strings.HasPrefix(a.Val, "#") {
				found = append(found, node.Data+" "+a.Key+"="+a.Val)
			}
		}
	}
	return found
}

// Whatever entries say, it is text on a page, and nothing else.
func TestHostileEntries(t *testing.T) {
	pages := newPages(t, "/base")
	for _, text := range hostile {
		at := entry.NewTime(time.Now())
		item := entry.Item{
			Name: text, Version: text, Description: text, RegistryURL: text, Digest: digest.Digest(text), Tags: []string{text}, Phase: entry.Phase(text),
			Architecture: text, Distro: text, DistroVersion: text, KernelVersion: text, Targets: []entry.Target{{Name: text, Notes: text}}, BuildMode: text, ExportFormat: text,
			PublishedBy: text, Build: entry.Build{URL: "javascript:" + text, Commit: text}, Labels: map[string]string{text: text}, Location: text, StatusReason: text, StatusMessage: text,
			ArtifactRefs:     []entry.ArtifactRef{{Type: text, URL: text, Digest: digest.Digest(text), Format: text, Title: text, Partition: text, Compression: text}},
			PlatformVariants: []entry.Platform{{Architecture: text, OS: text, Digest: digest.Digest(text)}},
			Referrers:        []entry.ReferrerRef{{Kind: text, Type: text, Title: text, Digest: digest.Digest(text)}}, Verdict: entry.Verdict(text),
			Signers: []entry.Signer{{Name: text, What: text, Time: &at}}, Conditions: []entry.Condition{{Type: text, Status: text, Reason: text, Message: text}}, Catalog: text, ScheduleName: text, SourceImageBuild: text,
		}
		facets := entry.Facets{}
		query := url.Values{}
		for _, f := range filters {
			facets[f.name] = map[string]int{text: 1}
			query.Set(f.name, text)
		}
		query.Set("search", text)
		events := []entry.Event{{Name: text, Operation: text, Version: text, By: text, Reason: text, ImageDigest: digest.Digest(text), Verdict: entry.Verdict(text), Catalog: text}, {Name: text, Operation: "publish", Version: text}}
		frame := Frame{Catalogs: []string{text, text}, Stale: text}
		for what, write := range map[string]func() ([]byte, error){
			"list": func() ([]byte, error) {
				return pages.List(&List{Frame: frame, Query: query, Items: []entry.Item{item}, Facets: facets, Problem: text, Absent: []string{text}})
			},
			"entry": func() ([]byte, error) {
				return pages.Entry(&Entry{Frame: frame, Item: item, Past: true, Catalog: text, History: events})
			},
			"changes": func() ([]byte, error) { return pages.Changes(&Changes{Frame: frame, Events: events, Total: 9}) },
			"problem": func() ([]byte, error) { return pages.Problem(&Problem{Frame: frame, Heading: text, Sentence: text}) },
			"sign in": func() ([]byte, error) { return pages.SignIn(&SignIn{Frame: frame, To: text}) },
		} {
			page, err := write()
			if err != nil {
				t.Errorf("%s of %.40q: %v", what, text, err)
				continue
			}
			for _, found := range foreign(t, page) {
				if found != "a href=#ZgotmplZ" { // an address that the template refuses
					t.Errorf("%s of %.40q has %s", what, text, found)
				}
			}
		}
	}
}

// What is foreign is found.
func TestForeign(t *testing.T) {
	for _, text := range []string{`<iframe></iframe>`, `<p onclick=x>`, `<p style=x>`, `<a href="https://evil.example/">`, `<script>x</script>`, `<!-- x -->`} {
		if len(foreign(t, []byte("<!doctype html><title></title>"+text))) != 1 {
			t.Errorf("%s is not found", text)
		}
	}
}

// A line is one command, whatever is in it.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"r.example.com/os/a@sha256:00": "r.example.com/os/a@sha256:00", "": "''", "oci:/srv/my catalog": "'oci:/srv/my catalog'", "a'; rm -rf /": `'a'\''; rm -rf /'`, "$(x)": "'$(x)'", "a\nb": "'a\nb'", "ü": "'ü'",
	} {
		if got := quote(text); got != want {
			t.Errorf("%q is quoted %s, want %s", text, got, want)
		}
	}
}

// Words for what people read.
func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		size(0): "", size(836): "836 B", size(2 << 30): "2.0 GiB", size(700 << 20): "700 MiB", count(0): "0", count(999): "999", count(1234567): "1,234,567",
		cut(3, "äöüß"): "äöü…", cut(4, "äöüß"): "äöüß",
		conditionWords(entry.Condition{Type: "Available", Status: "True"}):                     "The image can be had as it was published",
		conditionWords(entry.Condition{Type: "MetadataMismatch", Status: "False"}):             "Not metadata mismatch",
		conditionWords(entry.Condition{Type: "x", Reason: "TagMoved"}):                         "Tag moved",
		conditionWords(entry.Condition{Type: "Stale", Message: "östlich", Reason: "NoAnswer"}): "Östlich",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
