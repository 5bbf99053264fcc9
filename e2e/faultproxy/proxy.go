package faultproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxBody bounds what passes through, in bytes.
const maxBody = 64 << 20

// Proxy is a running proxy.
type Proxy struct {
	Host     string // 127.0.0.1:PORT
	Upstream string // the registry, HOST:PORT
	client   *http.Transport

	mu      sync.Mutex
	faults  Faults
	written map[string]time.Time // repository/tag: when it was last put
	seen    []string             // METHOD PATH STATUS
}

// New starts a proxy before the registry at upstream, until the test ends.
func New(t testing.TB, upstream string, faults Faults) *Proxy {
	t.Helper()
	p := &Proxy{Upstream: upstream, client: &http.Transport{}, faults: faults, written: map[string]time.Time{}}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.client.CloseIdleConnections()
	})
	p.Host = strings.TrimPrefix(server.URL, "http://")
	return p
}

// Set changes the faults, for requests that come from now on. Its rules have
// not acted yet.
func (p *Proxy) Set(faults Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rule := range faults.Rules {
		rule.acted = 0
	}
	p.faults = faults
}

// Acted reports whether each of the rules in force has acted.
func (p *Proxy) Acted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.faults.Rules, func(rule *Rule) bool { return rule.acted == 0 })
}

// Requests returns what was asked since the last call: METHOD PATH STATUS.
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// answer is a response, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	faults, action := p.plan(r)
	if action.Delay > 0 {
		timer := time.NewTimer(action.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if action.Reset {
		p.note(r, 0)
		reset(w)
		return
	}
	if action.Handle != nil {
		p.note(r, 0)
		action.Handle(w, r)
		return
	}
	if action.NoRange {
		r.Header.Del("Range")
	}
	a := instead(r, action)
	if a == nil {
		a = p.refuse(r, body, faults)
	}
	if a == nil {
		a, err = p.pass(r, body, faults)
		if err != nil {
			a = refusal(http.StatusBadGateway, "UNKNOWN", err.Error())
		}
	}
	adjust(r, a, faults)
	p.note(r, a.status)
	send(w, r, a, action)
}

// plan returns the faults in force and what a rule does to this request.
func (p *Proxy) plan(r *http.Request) (Faults, Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rule := range p.faults.Rules {
		if (rule.Times == 0 || rule.acted < rule.Times) && (rule.Match == nil || rule.Match(r)) {
			rule.acted++
			return p.faults, rule.Do
		}
	}
	return p.faults, Action{}
}

func (p *Proxy) note(r *http.Request, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, status))
}

// instead makes the answers that never reach the registry.
func instead(r *http.Request, action Action) *answer {
	switch {
	case action.Body != "":
		mediaType := action.Type
		if mediaType == "" {
			mediaType = "application/json"
		}
		return &answer{action.Status, http.Header{"Content-Type": {mediaType}}, []byte(action.Body)}
	case action.Status != 0:
		a := refusal(action.Status, "UNKNOWN", http.StatusText(action.Status))
		if action.RetryAfter != "" {
			a.header.Set("Retry-After", action.RetryAfter)
		}
		return a
	case action.HTML:
		return &answer{http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, []byte("<!DOCTYPE html><title>Sign in</title>")}
	case action.RedirectTo != "":
		return &answer{http.StatusTemporaryRedirect, http.Header{"Location": {"http://" + action.RedirectTo + r.URL.Path}}, nil}
	}
	return nil
}

func refusal(status int, code, message string) *answer {
	body, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	return &answer{status, http.Header{"Content-Type": {"application/json"}}, body}
}

// pass asks the registry, and applies the faults of tags.
func (p *Proxy) pass(r *http.Request, body []byte, faults Faults) (*answer, error) {
	repository, kind, reference := split(r.URL.Path)
	if kind == "tags" && r.Method == http.MethodGet {
		return p.tags(r, repository, faults)
	}
	if kind == "manifests" && faults.ReadLag > 0 && r.Method != http.MethodPut && p.lags(repository, reference, faults) {
		return refusal(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown"), nil
	}
	a, err := p.forward(r.Method, r.URL.RequestURI(), r.Host, r.Header, body)
	if err == nil && kind == "manifests" && r.Method == http.MethodPut && a.status == http.StatusCreated {
		p.mu.Lock()
		p.written[repository+"/"+reference] = faults.now()
		p.mu.Unlock()
	}
	return a, err
}

func (p *Proxy) lags(repository, tag string, faults Faults) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.written[repository+"/"+tag]
	return ok && !strings.Contains(tag, ":") && faults.now().Sub(at) < faults.ReadLag
}

// forward sends a request to the registry as if the proxy's host were its own.
func (p *Proxy) forward(method, uri, host string, header http.Header, body []byte) (*answer, error) {
	request, err := http.NewRequest(method, "http://"+p.Upstream+uri, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Host, request.Header = host, header.Clone()
	request.Header.Del("Accept-Encoding")
	response, err := p.client.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	a := &answer{response.StatusCode, response.Header.Clone(), text}
	if method == http.MethodHead {
		a.header.Set("Content-Length", strconv.FormatInt(max(response.ContentLength, 0), 10))
	} else {
		a.header.Del("Content-Length")
	}
	return a, err
}

// send writes an answer, spoilt as the action says.
func send(w http.ResponseWriter, r *http.Request, a *answer, action Action) {
	body := bytes.Clone(a.body)
	spoil := len(body) > 1 && a.status == http.StatusOK && r.Method == http.MethodGet
	if spoil && action.Alter {
		// A digit, so that JSON stays JSON and only the digest tells.
		if i := bytes.LastIndexAny(body, "0123456789"); i >= 0 {
			body[i] = '0' + (body[i]-'0'+1)%10
		} else {
			body[len(body)/2] ^= 1
		}
	}
	if spoil && action.CutClean {
		body = body[:len(body)/2]
	}
	for key, values := range a.header {
		w.Header()[key] = values
	}
	cutAt := -1
	if r.Method == http.MethodGet && (a.status == http.StatusOK || a.status == http.StatusPartialContent) {
		if action.Change != nil {
			body = action.Change(body)
		}
		for key, value := range action.Header {
			w.Header().Set(key, value)
		}
		if action.CutAt != nil {
			cutAt = action.CutAt(len(body))
		}
	}
	if spoil && action.Cut {
		cutAt = len(body) / 2
	}
	if r.Method != http.MethodHead && w.Header().Get("Transfer-Encoding") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(a.status)
	if cutAt >= 0 {
		_, _ = w.Write(body[:cutAt])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	if r.Method != http.MethodHead {
		trickle(w, r, body, action.Trickle)
	}
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// split reads a path of the registry API: /v2/REPOSITORY/KIND/REFERENCE.
func split(path string) (repository, kind, reference string) {
	rest := strings.TrimPrefix(path, "/v2/")
	for _, kind := range []string{"manifests", "blobs", "tags", "referrers"} {
		if i := strings.LastIndex(rest, "/"+kind+"/"); i >= 0 {
			return rest[:i], kind, rest[i+len(kind)+2:]
		}
	}
	return "", "", ""
}
