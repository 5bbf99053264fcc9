package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/page"
	"github.com/oci-catalog/caib/pkg/registry"
)

// The web pages show what the API answers. They are no part of it: what they look like
// changes, and programs ask the API.

// pageRoutes are the pages by their patterns.
func pageRoutes() map[string]func(*Server, http.ResponseWriter, *http.Request) {
	return map[string]func(*Server, http.ResponseWriter, *http.Request){
		"GET /{$}":           (*Server).listPage,
		"GET /entry/{name}":  (*Server).entryPage,
		"GET /changes":       (*Server).changesPage,
		"GET /docs":          (*Server).docsPage,
		"GET /assets/{name}": (*Server).asset,
		"POST /signin":       (*Server).signIn,
	}
}

// isOpen tells the routes that show nothing of a catalog, or only what the scope of
// nobody lets see.
func isOpen(pattern string) bool {
	switch pattern {
	case "GET /docs", "GET /assets/{name}", "POST /signin", "GET /openapi.json", "GET /healthz", readyRoute:
		return true
	}
	return false
}

// pathOf is an address of some path.
func pathOf(path string) *url.URL { return &url.URL{Path: path} }

var htmlType = []string{"text/html; charset=utf-8"}

func (s *Server) preparePages() (err error) {
	base := s.options.BasePath
	probe := &http.Request{URL: pathOf(base)}
	if base != "" && (!cleanPath(probe) || strings.HasSuffix(base, "/")) {
		return &registry.Error{Option: "BasePath", Err: fmt.Errorf("%w: base path %q: want one such as /catalog, of plain letters, digits, dots and hyphens", entry.ErrInvalid, printable(base))}
	}
	s.pages, err = page.New(base)
	return err
}

// belowBase returns a request as it would be without the base path.
func (s *Server) belowBase(r *http.Request) *http.Request {
	base := s.options.BasePath
	if base == "" {
		return r
	}
	rest, below := strings.CutPrefix(r.URL.Path, base)
	if !below || rest != "" && rest[0] != '/' || r.URL.RawPath != "" {
		return r
	}
	stripped, address := *r, *r.URL
	if address.Path = rest; rest == "" {
		address.Path = "/"
	}
	stripped.URL = &address
	return &stripped
}

// acceptsHTML reports whether a client asks for a page by its media type, as browsers
// do. Programs that take anything are answered as by the API.
func acceptsHTML(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		if kind = strings.TrimSpace(kind); strings.EqualFold(kind, "text/html") || kind == "text/*" {
			weight, weighted := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=0")
			return !weighted || strings.Trim(weight, ".0") != ""
		}
	}
	return false
}

// frame is what is around every page.
func (s *Server) frame(r *http.Request) page.Frame {
	f := page.Frame{}
	sc := s.scopeOf(r.Context())
	if _, err := r.Cookie(tokenCookie); err == nil {
		f.SignedIn = s.readers != nil
	}
	for _, one := range s.follower.followed {
		if sc.seesCatalog(one.catalog.Reference()) {
			f.Catalogs = append(f.Catalogs, one.catalog.Reference())
		}
	}
	if s.follower.isStale() {
		f.Stale = "This is the last state that is known."
		if age, known := s.follower.age(); known {
			f.Stale = "This is the last state that is known, read on " + time.Now().Add(-age).UTC().Format("2 January 2006 at 15:04 UTC") + "."
		}
	}
	return f
}

// showPage answers with the page that step makes of the state, or with one that says
// why there is none.
func (s *Server) showPage(w http.ResponseWriter, r *http.Request, step func(ctx context.Context, now *state) (html []byte, status int, err error)) {
	if !acceptsHTML(r) {
		s.fail(w, r, errNoRoute)
		return
	}
	now, err := s.shown(r.Context())
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	status := http.StatusOK
	a, err := s.compute(r, func(ctx context.Context) (*body, error) {
		html, code, err := step(ctx, now)
		if err != nil {
			return nil, err
		}
		status = code
		return newBody(html), nil
	})
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	s.sendPage(w, r, a, status)
}

func (s *Server) sendPage(w http.ResponseWriter, r *http.Request, a *body, status int) {
	header := w.Header()
	page.Headers(header, r.TLS != nil)
	header.Set("Vary", "Accept, Accept-Encoding, Authorization, Cookie")
	header.Set("Cache-Control", "private, no-cache")
	s.sendBody(w, r, a, status, htmlType)
}

// headings are what pages about problems are called, by the status.
var headings = map[int]string{
	http.StatusBadRequest: "That cannot be asked", http.StatusForbidden: "Kept back", http.StatusNotFound: "There is no such entry",
	http.StatusServiceUnavailable: "Not ready yet",
}

// problemPage says why there is no page.
func (s *Server) problemPage(w http.ResponseWriter, r *http.Request, err error) {
	p := s.forClientError(w, r, err)
	heading := headings[p.Status]
	if heading == "" {
		heading = "That went wrong"
	}
	html, err := s.pages.Problem(&page.Problem{Frame: s.frame(r), Heading: heading, Sentence: p.Sentence})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	s.sendPage(w, r, newBody(html), p.Status)
}

// asset answers with a file that pages refer to.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	content, ok := s.pages.Asset(w.Header(), r.PathValue("name"), r.URL.Query().Get("v"))
	if !ok {
		s.fail(w, r, errNoRoute)
		return
	}
	page.Headers(w.Header(), r.TLS != nil)
	w.Header().Set("Vary", "Accept-Encoding")
	s.sendBody(w, r, newBody(content), http.StatusOK, w.Header()["Content-Type"])
}
