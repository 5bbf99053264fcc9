package server

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
)

const (
	imagesPath   = api.Root + "/images"
	imagePath    = imagesPath + "/"
	readyRoute   = "GET /readyz"
	metricsRoute = "GET /metrics"
)

// route is how one of the routes of the API is answered.
type route struct {
	writes  string // what it does to the catalog: only for those who may publish; "" reads
	handler func(*Server, http.ResponseWriter, *http.Request)
}

// table returns the answers to all routes of the API, by their patterns.
func table() map[string]route {
	return map[string]route{
		"GET " + imagesPath:                     {"", (*Server).list},
		"GET " + imagesPath + "/{name}":         {"", (*Server).get},
		"GET " + imagesPath + "/{name}/history": {"", (*Server).history},
		"GET " + api.Root + "/history":          {"", (*Server).history},
		"GET " + api.Root + "/changes":          {"", (*Server).changes},
		"GET " + api.Root + "/events":           {"", (*Server).listen},
		"POST " + imagesPath + "/{name}/verify": {"", (*Server).verifyEntry},
		"POST " + imagesPath:                    {"add", (*Server).create},
		"POST " + api.Root + "/publish":         {"publish", (*Server).publish},
		"PATCH " + imagesPath + "/{name}":       {"edit", (*Server).edit},
		"DELETE " + imagesPath + "/{name}":      {"remove", (*Server).remove},
		"GET /openapi.json":                     {"", (*Server).openAPI},
		"GET /healthz":                          {"", (*Server).alive},
		readyRoute:                              {"", (*Server).ready},
		metricsRoute:                            {"", (*Server).scrape},
	}
}

func (s *Server) routes() {
	s.mux = http.NewServeMux()
	for pattern, route := range table() {
		handler := func(w http.ResponseWriter, r *http.Request) { route.handler(s, w, r) }
		if strings.Contains(pattern, api.Root+"/") {
			handler = func(w http.ResponseWriter, r *http.Request) { route.handler(s, w, withoutNamespace(r)) }
		}
		switch {
		case route.writes != "":
			handler = s.authorised(route.writes, handler)
		case !isOpen(pattern):
			handler = s.reading(handler, pattern == metricsRoute)
		}
		s.mux.HandleFunc(pattern, s.metrics.counted(pattern, handler))
	}
	for pattern, handler := range pageRoutes() {
		shown := func(w http.ResponseWriter, r *http.Request) { handler(s, w, r) }
		if !isOpen(pattern) {
			shown = s.reading(shown, false)
		}
		s.mux.HandleFunc(pattern, s.metrics.counted(pattern, shown))
	}
	s.mux.HandleFunc("/", s.metrics.counted("other", s.unknown))
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorded := &response{ResponseWriter: w, server: s, request: r, begun: time.Now()}
	if len(r.Header["X-Request-Id"]) > 0 || s.log.Enabled(r.Context(), slog.LevelDebug) {
		recorded.named()
	}
	r = s.belowBase(r)
	recorded.request = r
	if !cleanPath(r) {
		s.metrics.counted("other", func(w http.ResponseWriter, r *http.Request) {
			s.fail(w, r, problem(http.StatusBadRequest, "invalid", "the path is not one of this server's: want plain letters, digits, dots and hyphens"))
		})(recorded, r)
	} else {
		s.mux.ServeHTTP(recorded, r)
	}
	s.logged(recorded, r)
}

// cleanPath tells the paths that mean what they look like. ServeMux would
// redirect the others, or decode them.
func cleanPath(r *http.Request) bool {
	p := r.URL.Path
	if p == imagesPath {
		return true
	}
	if r.URL.RawPath != "" || len(p) > 1024 || p == "" || p[0] != '/' {
		return false
	}
	for i := range len(p) {
		switch c := p[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == '/':
		default:
			return false
		}
	}
	return !strings.Contains(p, "/.") && !strings.Contains(p, "//") && (p == "/" || path.Clean(p) == p)
}

// unknown answers what is no route, or not with this method.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = method
		if _, pattern := s.mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, r, problem(http.StatusMethodNotAllowed, "invalid", "the route does not take "+method(r)))
		return
	}
	s.fail(w, r, errNoRoute)
}

var errNoRoute = problem(http.StatusNotFound, "no_route", "there is no such route: /openapi.json lists them")

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "this method"
}
