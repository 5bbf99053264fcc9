package registry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// transportFunc is a transport of one function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// However many hosts and repositories a client is asked for, and however many
// hosts it is redirected to, what it remembers of them stays bounded.
func TestClientMemoryIsBounded(t *testing.T) {
	client, err := New(Options{Attempts: 1, Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		answer.Header().Set("Date", "Fri, 27 Nov 2026 08:00:00 GMT")
		answer.WriteHeader(http.StatusNotFound)
		response := answer.Result()
		response.Request = r
		return response, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxEndpoints + maxHosts {
		host := fmt.Sprintf("h%d.example.com", i)
		repository := openPath(t, client, host, "a")
		if i < 2*maxHosts {
			if _, err := repository.Tags(t.Context()); err == nil {
				t.Fatalf("tags of %s: got none, want an error", host)
			}
		}
		client.warn(t.Context(), []string{host})
	}
	for what, got := range map[string][2]int{
		"repositories": {client.endpoints.Len(), maxEndpoints}, "clocks": {client.dates.hosts.Len(), maxHosts}, "warnings": {client.warned.Len(), maxWarned},
	} {
		if got[0] != got[1] {
			t.Errorf("%s remembered: got %d, want %d", what, got[0], got[1])
		}
	}
}
