package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oci-catalog/caib/pkg/server"
)

// nowhere is an answer that goes nowhere.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header            { return n.header }
func (n *nowhere) Write(text []byte) (int, error) { return len(text), nil }
func (n *nowhere) WriteHeader(int)                {}

// BenchmarkAnswer is what the server adds to the cost of net/http for an answer that is
// prepared.
func BenchmarkAnswer(b *testing.B) {
	w := newWorld(b)
	w.publish("a", "b")
	w.startReady(func(o *server.Options) { o.Logger = nil })
	for name, path := range map[string]string{
		"list": "/v1/catalog/images?limit=20", "filtered": "/v1/catalog/images?target=rpi4&tags=nightly&latest=false&limit=20", "get": "/v1/catalog/images/a",
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(name+" "+encoding, func(b *testing.B) {
				request := httptest.NewRequestWithContext(b.Context(), "GET", path, nil)
				request.Header.Set("Accept-Encoding", encoding)
				b.ReportAllocs()
				for b.Loop() {
					w.server.ServeHTTP(&nowhere{http.Header{}}, request)
				}
			})
		}
	}
}
