// Package registries starts real OCI registries for tests: on free ports of the
// loopback interface, with empty storage, and gone when the test ends.
package registries

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Server is a running registry; it speaks plain HTTP.
type Server struct {
	Name      string
	Host      string // 127.0.0.1:PORT
	Referrers bool   // answers the Referrers API
	Delete    bool   // deletes manifests
	// Collect runs the registry's own garbage collection, of untagged manifests
	// too; nil where it has none.
	Collect func(t testing.TB)
}

// Kind is a kind of registry that can be started any number of times.
type Kind struct {
	Name  string
	Start func(t testing.TB) Server
}

// All returns every kind, CNCF distribution 3.1 first.
func All() []Kind {
	return []Kind{
		{"distribution-3.1", func(t testing.TB) Server { return Distribution3(t, true) }},
		{"distribution-3.1-nodelete", func(t testing.TB) Server { return Distribution3(t, false) }},
		{"distribution-2.8", Distribution2},
		{"ggcr", func(t testing.TB) Server { return GGCR(t, true) }},
		{"ggcr-noreferrers", func(t testing.TB) Server { return GGCR(t, false) }},
		{"ocimem", OCIMem},
	}
}

// serve serves a registry of this process until the test ends.
func serve(t testing.TB, server Server, handler http.Handler) Server {
	t.Helper()
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	server.Host = strings.TrimPrefix(listener.URL, "http://")
	return server
}
