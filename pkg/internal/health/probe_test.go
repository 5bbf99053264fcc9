package health_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// An image is not Failed because HEAD does not find it: GET has the last word.
func TestProbeConfirmsAbsence(t *testing.T) {
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	for _, tt := range []struct {
		name      string
		head, get int
		want      error
		asked     []string
	}{
		{"there", 200, 200, nil, []string{"HEAD"}},
		{"hidden from HEAD", 404, 200, nil, []string{"HEAD", "GET", "HEAD", "GET"}},
		{"gone", 404, 404, entry.ErrNotFound, []string{"HEAD", "GET"}},
		{"refused to GET", 404, 403, entry.ErrUnauthorized, []string{"HEAD", "GET"}},
		{"no answer to GET", 404, 501, entry.ErrUnreachable, []string{"HEAD", "GET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, r.Method)
				status := map[string]int{"HEAD": tt.head, "GET": tt.get}[r.Method]
				if status == http.StatusOK {
					w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
					w.Header().Set("Docker-Content-Digest", digest.FromString(manifest).String())
				}
				w.WriteHeader(status)
				if status == http.StatusOK {
					_, _ = io.WriteString(w, manifest)
				}
			}))
			t.Cleanup(server.Close)
			client, err := registry.New(registry.Options{Attempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			item := &entry.Item{Name: "a", RegistryURL: strings.TrimPrefix(server.URL, "http://") + "/os/a:1", Digest: digest.FromString(manifest)}
			err = health.Registry(client.Open)(t.Context(), item)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			mu.Lock()
			defer mu.Unlock()
			if tt.head == 404 && !slices.Equal(asked, tt.asked) {
				t.Errorf("asked by %v, want %v", asked, tt.asked)
			}
		})
	}
}
