package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages serves a tag list in pages; the page that ?p= names says which is next
// by a Link in one of the forms that registries use.
func pages(t *testing.T, list [][]string, link func(s *script, next int) string) *script {
	t.Helper()
	var s *script
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := 0
		if _, err := fmt.Sscanf(r.URL.Query().Get("p"), "%d", &page); err != nil {
			page = 0
		}
		if page >= len(list) {
			answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
			return
		}
		if next := link(s, page+1); next != "" {
			w.Header().Set("Link", next)
		}
		answer(w, 200, "application/json", `{"name":"team/image","tags":["`+strings.Join(list[page], `","`)+`"]}`)
	})
	return s
}

func until(last int, format string) func(*script, int) string {
	return func(s *script, next int) string {
		if next == last {
			return ""
		}
		return fmt.Sprintf(strings.ReplaceAll(format, "HOST", s.host), next)
	}
}

func TestTagsFollowLinks(t *testing.T) {
	list := [][]string{{"a", "b"}, {"b", "c"}, {"d"}}
	for _, tt := range []struct{ name, link string }{
		{"absolute path", `</v2/team/image/tags/list?p=%d>; rel="next"`},
		{"whole URL", `<http://HOST/v2/team/image/tags/list?p=%d>; rel="next"`},
		{"query alone", `<?p=%d>; rel="next"`},
		{"without rel", `</v2/team/image/tags/list?p=%d>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := pages(t, list, until(3, tt.link))
			tags, err := open(t, s.host, quick()).Tags(t.Context())
			if diff := cmp.Diff([]string{"a", "b", "c", "d"}, tags); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			want := []string{"GET /v2/team/image/tags/list", "GET /v2/team/image/tags/list?n=1000&p=1", "GET /v2/team/image/tags/list?p=2"}
			if diff := cmp.Diff(want, s.requests()); diff != "" {
				t.Errorf("requests:\n%s", diff)
			}
		})
	}
}

// A list that fails on its way is no list: half of the tags would be half of
// the log.
func TestTagsAreWholeOrAnError(t *testing.T) {
	same := func(*script, int) string { return `<?p=0>; rel="next"` }
	next := until(-1, `<?p=%d>; rel="next"`)
	for _, tt := range []struct {
		name string
		list [][]string
		link func(*script, int) string
	}{
		{"a page that names itself", [][]string{{"a"}}, same},
		{"a page that says nothing new", [][]string{{"a", "b"}, {"c"}, {"a", "c"}}, next},
		{"a 404 after the first page", [][]string{{"a"}}, next},
		{"a 404 after several", [][]string{{"a"}, {"b"}, {"c"}}, next},
	} {
		s := pages(t, tt.list, tt.link)
		tags, err := open(t, s.host, quick()).Tags(t.Context())
		if kind(err) != "unreachable" || tags != nil || len(s.requests()) > 5 {
			t.Errorf("%s: %v, %v after %v", tt.name, tags, err, s.requests())
		}
	}
}

func TestTagListsAreBounded(t *testing.T) {
	asked := 0
	options := quick()
	options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		asked++
		response := respond(r, 200, strings.NewReader(fmt.Sprintf(`{"tags":["t%d"]}`, asked)))
		response.Header.Set("Link", `<?next>; rel="next"`)
		return response, nil
	})
	repository := open(t, "registry.example.com", options).(*remoteRepository)
	if repository.maxPages != maxPages {
		t.Errorf("%d pages allowed", repository.maxPages)
	}
	repository.maxPages = 50
	tags, err := repository.Tags(t.Context())
	if kind(err) != "unreachable" || tags != nil || asked != 50 {
		t.Errorf("%d tags, %v after %d pages", len(tags), err, asked)
	}
}

func TestTagsOfNothing(t *testing.T) {
	for _, body := range []string{`{"name":"team/image","tags":null}`, `{"tags":[]}`, `{"errors":[],"tags":null}`} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", body) })
		if tags, err := open(t, s.host, quick()).Tags(t.Context()); err != nil || len(tags) != 0 {
			t.Errorf("%s: %v, %v", body, tags, err)
		}
	}
	for body, want := range map[string]string{
		`{"errors":[{"code":"NAME_UNKNOWN"}]}`: "", // the registry's words
		`{}`:                                   "unreachable",
		``:                                     "unreachable",
		`<html></html>`:                        "unreachable",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "application/json", body) })
		if tags, err := open(t, s.host, quick()).Tags(t.Context()); kind(err) != want || len(tags) != 0 {
			t.Errorf("404 with %q: %v, %v; want %q", body, tags, err, want)
		}
	}
}
