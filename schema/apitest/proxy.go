package apitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// Proxy passes requests on to a server, and reports what the description does
// not say of them and of their answers. Events pass unchecked but for their
// status: their stream does not end. report is called from several goroutines
// at once.
func Proxy(server *url.URL, report func(error)) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Header.Set("Accept-Encoding", "identity") // so that answers can be read
		},
		Transport: checked{report},
	}
}

type checked struct{ report func(error) }

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	e := Exchange{Method: r.Method, URL: r.URL}
	var err error
	if r.Body != nil {
		if e.Body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(e.Body))
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	e.Status, e.Header = response.StatusCode, response.Header
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response, nil
	}
	e.Answer, err = io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("the answer ends early: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(e.Answer))
	if err := Check(e); err != nil {
		c.report(err)
	}
	return response, nil
}
