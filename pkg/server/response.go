package server

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// response notes what a handler answered.
type response struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	begun   time.Time
	id      [1]string // of the request, as the value of a header; "" until it is needed
	status  int
	route   string
}

// named returns the request's id, and tells the client: by it, a line of the
// log is found again. Reading that succeeds leaves no line, and needs none.
func (r *response) named() string {
	if r.id[0] == "" {
		r.id[0] = r.server.ids.of(r.request)
		r.Header()["X-Request-Id"] = r.id[:]
	}
	return r.id[0]
}

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	if status >= http.StatusBadRequest {
		r.named()
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (r *response) WriteString(text string) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return io.WriteString(r.ResponseWriter, text)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// patiently gives an answer that takes its time a write deadline of its own.
func patiently(w http.ResponseWriter, within time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + 10*time.Second)) // without deadlines there is none
}

// logged writes one line about a request: at debug level, or as a warning where
// the server could not do its part; that it is not ready is no news. No header
// and no query is in it.
func (s *Server) logged(w *response, r *http.Request) {
	level := slog.LevelDebug
	if w.status >= 500 && w.route != readyRoute {
		level = slog.LevelWarn
	}
	ctx := r.Context()
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "request", slog.String("id", w.named()), slog.String("method", printable(r.Method)),
		slog.String("route", w.route), slog.Int("status", w.status), slog.Duration("took", time.Since(w.begun)))
}

// requestIDs gives requests names.
type requestIDs struct {
	prefix string
	count  *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return requestIDs{hex.EncodeToString(random[:]) + "-", new(atomic.Uint64)}
}

// of returns the name that a request brought along, if it is plain, else a new
// one.
func (i requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && plainID(given[0]) {
		return given[0]
	}
	return i.prefix + strconv.FormatUint(i.count.Add(1), 36)
}

func plainID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// requestID returns the id of the request that w answers, whose header must not
// be out yet.
func requestID(w http.ResponseWriter) string { return w.(*response).named() }
