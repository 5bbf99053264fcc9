package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestNextPage(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		want    string
		bad     bool
	}{
		{"a path", []string{`</v2/cat/tags/list?n=2&last=b>; rel="next"`}, "n=2&last=b", false},
		{"another path", []string{`</v2/other/tags/list?last=b>; rel=next`}, "last=b", false},
		{"another host", []string{`<http://internal:5000/v2/cat/tags/list?last=b>; rel="next"`}, "last=b", false},
		{"no relation", []string{`<?last=b>`}, "last=b", false},
		{"first before next", []string{`<?x>; rel="first", <?last=b>; rel="next"`}, "last=b", false},
		{"prev in a header of its own", []string{`<?x>; rel="prev"`, `<?last=b>; rel="next"`}, "last=b", false},
		{"several relations", []string{`<?last=b>; title="a; b, c"; rel="last next"`}, "last=b", false},
		{"in capitals", []string{`<?last=b>; REL=NEXT`}, "last=b", false},
		{"a comma in the address", []string{`<?last=a,b>; rel="next"`}, "last=a,b", false},
		{"parameters without quotes", []string{`<?x>;rel=prev;title=x,<?last=b>;rel=next`}, "last=b", false},
		{"a fragment", []string{`<?last=b#x?y>; rel="next"`}, "last=b", false},
		{"none", nil, "", false},
		{"only others", []string{`<?x>; rel="first", <?y>; rel="last"`}, "", false},
		{"no address", []string{`?last=b; rel="next"`}, "", true},
		{"an address that never ends", []string{`<?last=b; rel="next"`}, "", true},
		{"no query", []string{`</v2/cat/tags/list>; rel="next"`}, "", true},
	} {
		got, found, err := nextPage(tt.headers)
		if got != tt.want || found != (tt.want != "") || (err != nil) != tt.bad {
			t.Errorf("%s: %q, %t, %v; want %q", tt.name, got, found, err, tt.want)
		}
	}
}

// paging is a registry of tags a0, a1, … that serves pages of its usual size, or
// of the size asked for, and remembers nothing else.
type paging struct {
	tags, usual int
	link        func(query string) []string // Link headers
	large       func(w http.ResponseWriter, n int) bool
}

func (p paging) serve(t *testing.T) *script {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			n = p.usual
		} else if n > p.usual && p.large != nil && p.large(w, n) {
			return
		}
		end := min(from+n, p.tags)
		if end < p.tags {
			query := fmt.Sprintf("from=%d", end)
			if err == nil {
				query += fmt.Sprintf("&n=%d", n)
			}
			w.Header()["Link"] = p.link(query)
		}
		var page []string
		for i := from; i < end; i++ {
			page = append(page, fmt.Sprintf("a%d", i))
		}
		answer(w, 200, "application/json", `{"tags":["`+strings.Join(page, `","`)+`"]}`)
	})
}

// D4: the link's query on our own URL is the next page, whatever else it says.
func TestLinksOfOthers(t *testing.T) {
	for name, link := range map[string]string{
		"that drop the key":    `</v2/image/tags/list?%s>; rel="next"`,
		"with a path before":   `</artifactory/api/docker/team/v2/image/tags/list?%s>; rel="next"`,
		"by plain HTTP":        `<http://registry.internal/v2/team/image/tags/list?%s>; rel="next"`,
		"after the first":      `</v2/team/image/tags/list?from=0>; rel="first", </v2/team/image/tags/list?%s>; rel="next"`,
		"after the one before": `<?from=1>; rel=prev, <?%s>; rel=next`,
		"with a relative path": `<list?%s>; rel="next"`,
		"to nobody":            `<http://%%zz/?%s>; rel="next"`,
	} {
		s := paging{tags: 7, usual: 2, link: func(query string) []string { return []string{fmt.Sprintf(link, query)} },
			large: func(w http.ResponseWriter, _ int) bool { answer(w, 413, "application/json", `{}`); return true }}.serve(t)
		tags, err := open(t, s.host, quick()).Tags(t.Context())
		if err != nil || len(tags) != 7 {
			t.Errorf("%s: %v, %v after %v", name, tags, err, s.requests())
		}
	}
}

// Where a list has pages, large ones are asked for once; a host that does not
// serve them is remembered.
func TestLargePages(t *testing.T) {
	next := func(query string) []string { return []string{"<?" + query + `>; rel="next"`} }
	refuse := func(status int) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, _ int) bool { answer(w, status, "application/json", `{}`); return true }
	}
	for _, tt := range []struct {
		name         string
		registry     paging
		first, later int // requests of the first list, and of the next
	}{
		{"one page", paging{tags: 50, usual: 100, link: next}, 1, 1},
		{"large pages", paging{tags: 1500, usual: 100, link: next}, 3, 3},
		{"a large page is refused", paging{tags: 450, usual: 100, link: next, large: refuse(413)}, 6, 5},
		{"a large page does not exist", paging{tags: 450, usual: 100, link: next, large: refuse(404)}, 6, 5},
		{"a large page is too much for the registry", paging{tags: 450, usual: 100, link: next, large: refuse(500)}, 6, 5},
		{"a large page is empty", paging{tags: 450, usual: 100, link: next, large: func(w http.ResponseWriter, _ int) bool {
			answer(w, 200, "application/json", `{"tags":null}`)
			return true
		}}, 6, 5},
		{"a large page is the first again", paging{tags: 450, usual: 2, link: next, large: func(w http.ResponseWriter, _ int) bool {
			answer(w, 200, "application/json", `{"tags":["a0","a1"]}`)
			return true
		}}, 226, 225},
	} {
		s := tt.registry.serve(t)
		client, err := New(quick())
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		for i, want := range []int{tt.first, tt.later} {
			tags, err := openPath(t, client, s.host, "team/image").Tags(t.Context())
			asked := len(s.requests()) - before
			before += asked
			if err != nil || len(tags) != tt.registry.tags || asked != want {
				t.Errorf("%s: list %d: %d tags, %v after %d requests; want %d after %d", tt.name, i, len(tags), err, asked, tt.registry.tags, want)
			}
		}
		if first := s.requests()[0]; first != "GET /v2/team/image/tags/list" {
			t.Errorf("%s: the first page is asked for by %s", tt.name, first)
		}
	}
}

// D3: an answer that is no list of tags, or of referrers, is none.
func TestListsThatAreNone(t *testing.T) {
	for _, body := range []string{
		`{"message":"Forbidden"}`, `{"errors":[{"code":"DENIED"}]}`, `{"errors":[{"code":"DENIED"}],"tags":[],"manifests":[]}`,
		`{}`, `null`, `[]`, `"tags"`, `{"Tags":["a"],"Manifests":[]}`, `{"tags":{},"manifests":{}}`, `{"tags":[1],"manifests":[1]}`,
		`{"tags":"","manifests":""}`, `{"status":"ok","data":{"tags":[],"manifests":[]}}`, `{"errors":{"code":"X"},"tags":[],"manifests":[]}`,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", body) })
		repository := open(t, s.host, quick())
		if tags, err := repository.Tags(t.Context()); kind(err) != "unreachable" || tags != nil {
			t.Errorf("%s as tags: %v, %v", body, tags, err)
		}
		if list, err := repository.Referrers(t.Context(), describe("application/x", nil)); kind(err) != "unreachable" || list != nil {
			t.Errorf("%s as referrers: %v, %v", body, list, err)
		}
	}
}

// A 404 that hides a refusal is no empty list.
func TestAbsenceInARegistrysWords(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"code":"NAME_UNKNOWN"}]}`:    "",
		`{"errors":[{"code":"NOT_FOUND"}]}`:       "",
		`{"errors":[{"code":"DENIED"}]}`:          "unauthorized",
		`{"errors":[{"code":"UNAUTHORIZED"}]}`:    "unauthorized",
		`{"errors":[{"code":"TOOMANYREQUESTS"}]}`: "unreachable",
		`{"errors":[{"code":"UNSUPPORTED"}]}`:     "unreachable",
		`{"errors":[]}`:                           "unreachable",
		`{"errors":["not here"]}`:                 "unreachable",
		`{"message":"not here"}`:                  "unreachable",
		"Not found.\n":                            "unreachable",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "application/json", body) })
		if tags, err := open(t, s.host, quick()).Tags(t.Context()); kind(err) != want || len(tags) != 0 {
			t.Errorf("404 with %s: %v, %v; want %q", body, tags, err, want)
		}
	}
}

// Referrers come in pages too.
func TestReferrersFollowLinks(t *testing.T) {
	d, _ := manifestOf(t, "m", nil)
	page := func(text string) string {
		one, _ := manifestOf(t, text, nil)
		return fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, one.MediaType, one.Digest)
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		from := r.URL.Query().Get("from")
		if from != "2" {
			next := map[string]string{"": "1", "1": "2"}[from]
			w.Header().Add("Link", `<http://elsewhere.internal/x?from=0>; rel="first"`)
			w.Header().Add("Link", `<http://elsewhere.internal/x?from=`+next+`>; rel="next"`)
		}
		answer(w, 200, "application/json", page(from))
	})
	list, err := open(t, s.host, quick()).Referrers(t.Context(), d)
	if err != nil || len(list) != 3 {
		t.Errorf("%v, %v after %v", list, err, s.requests())
	}
	for name, next := range map[string]string{"itself": "x", "a page that does not exist": "gone"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("from") == "gone" {
				answer(w, 404, "text/plain", "404 page not found")
				return
			}
			w.Header().Set("Link", "<?from="+next+">")
			answer(w, 200, "application/json", page("a"))
		})
		if list, err := open(t, s.host, quick()).Referrers(t.Context(), d); kind(err) != "unreachable" || list != nil {
			t.Errorf("a page names %s: %v, %v after %v", name, list, err, s.requests())
		}
	}
}

// Words of registries are shown without the syntax of the language they are in.
func TestWordsOfRefusals(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"code":"DENIED","message":"no","detail":{"description":"the project is frozen","hint":null}}]}`: "denied: no: description the project is frozen",
		`{"errors":[{"code":"DENIED","detail":[{"Action":"pull","Class":"","Name":"team/image"}]}]}`:                 "denied: Action pull, Name team/image",
		`{"errors":[{"code":"A","message":"a"},{"code":"B_C","message":"b","detail":3}]}`:                            "a; b c: b: 3",
		`{"errors":["no"]}`:                     "no",
		`{"errors":{"code":"DENIED"}}`:          "denied",
		`{"message":"Forbidden"}`:               "Forbidden",
		`{"error":"x","error_description":"y"}`: "x; y",
		"Sorry, no.\n":                          "Sorry, no.",
		"<html>no</html>":                       "Forbidden",
		"":                                      "Forbidden",
		strings.Repeat("x", 2*maxErrorBody):     "Forbidden",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, "", body) })
		_, err := open(t, s.host, quick()).Tags(t.Context())
		if kind(err) != "unauthorized" || !strings.HasSuffix(err.Error(), ": 403: "+want+" (anonymous)") || strings.Contains(err.Error(), "map[") {
			t.Errorf("%.80s: %.300v; want %s", body, err, want)
		}
	}
}
