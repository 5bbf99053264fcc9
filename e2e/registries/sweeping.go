package registries

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

// Sweeping starts go-containerregistry's registry with a clean-up of its own:
// Collect deletes every manifest that no tag names, those below an index and those
// with a subject too, and the blobs that nothing is left of then.
func Sweeping(t testing.TB) Server {
	t.Helper()
	s := &sweeper{
		next: ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0))),
		tags: map[string]digest.Digest{}, manifests: map[string]string{},
	}
	return serve(t, Server{Name: "sweeping", Referrers: true, Delete: true, Collect: s.collect}, s)
}

// sweeper knows what was pushed: by path, as /v2/NAME/manifests/TAG.
type sweeper struct {
	next      http.Handler
	mu        sync.Mutex
	tags      map[string]digest.Digest
	manifests map[string]string // their content, by path with the digest
}

func (s *sweeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if base, reference, ok := strings.Cut(r.URL.Path, "/manifests/"); ok && r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		d := digest.FromBytes(body)
		s.mu.Lock()
		s.manifests[base+"/manifests/"+d.String()] = string(body)
		if reference != d.String() {
			s.tags[r.URL.Path] = d
		}
		s.mu.Unlock()
	}
	s.next.ServeHTTP(w, r)
}

var sha256Digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func (s *sweeper) collect(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	tagged := map[string]bool{}
	for path, d := range s.tags {
		base, _, _ := strings.Cut(path, "/manifests/")
		tagged[base+"/manifests/"+d.String()] = true
	}
	used := map[string]bool{}
	for path := range tagged {
		for _, d := range sha256Digest.FindAllString(s.manifests[path], -1) {
			used[d] = true
		}
	}
	for path, body := range s.manifests {
		if tagged[path] {
			continue
		}
		if code := s.delete(path); code != http.StatusAccepted {
			t.Fatalf("DELETE %s: %d", path, code)
		}
		delete(s.manifests, path)
		for _, d := range sha256Digest.FindAllString(body, -1) {
			if !used[d] {
				base, _, _ := strings.Cut(path, "/manifests/")
				s.delete(base + "/blobs/" + d) // 404 where it is no blob, or gone
			}
		}
	}
}

func (s *sweeper) delete(path string) int {
	answer := httptest.NewRecorder()
	s.next.ServeHTTP(answer, httptest.NewRequest(http.MethodDelete, path, nil))
	return answer.Code
}
