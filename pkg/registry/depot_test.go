package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

// depot is a registry of blobs, which each repository has for itself.
type depot struct {
	host string
	// quirk answers a request instead; it reports whether it did. nil never does.
	quirk func(w http.ResponseWriter, r *http.Request, nth int) bool

	mu       sync.Mutex
	blobs    map[string][]byte // by repository@digest
	sessions int
	asked    []string // methods, and of uploads what they mount
	came     int64    // bytes of uploads
}

func newDepot(t testing.TB) *depot {
	d := &depot{blobs: map[string][]byte{}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.host = strings.TrimPrefix(server.URL, "http://")
	return d
}

// put puts a blob into a repository.
func (d *depot) put(repository string, blob []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blobs[repository+"@"+digest.FromBytes(blob).String()] = blob
}

func (d *depot) has(repository string, blob digest.Digest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.blobs[repository+"@"+blob.String()]
	return ok
}

// received is how many bytes of uploads came.
func (d *depot) received() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.came
}

// requests are those since the last call.
func (d *depot) requests() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := strings.Join(d.asked, " ")
	d.asked = nil
	return asked
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mounting := r.URL.Query().Get("from")
	d.mu.Lock()
	d.asked = append(d.asked, strings.TrimSuffix(r.Method+"<"+mounting, "<"))
	nth, quirk := len(d.asked), d.quirk
	d.mu.Unlock()
	if quirk != nil && quirk(w, r, nth) {
		return
	}
	repository, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	switch r.Method {
	case http.MethodPost:
		d.begin(w, repository, r.URL.Query().Get("mount"), mounting)
	case http.MethodPut:
		d.store(w, r, repository)
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		d.mu.Lock()
		blob, ok := d.blobs[repository+"@"+name]
		d.mu.Unlock()
		if !ok {
			status404(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", zeroTime, bytes.NewReader(blob))
	}
}

// begin mounts a blob, or begins an upload.
func (d *depot) begin(w http.ResponseWriter, repository, mount, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if blob, ok := d.blobs[from+"@"+mount]; ok {
		d.blobs[repository+"@"+mount] = blob
		w.WriteHeader(http.StatusCreated)
		return
	}
	d.sessions++
	w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%d", repository, d.sessions))
	w.WriteHeader(http.StatusAccepted)
}

// store ends an upload, of which nothing stays if it breaks off.
func (d *depot) store(w http.ResponseWriter, r *http.Request, repository string) {
	blob, err := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.came += int64(len(blob))
	want := r.URL.Query().Get("digest")
	if err != nil || digest.FromBytes(blob).String() != want {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d.blobs[repository+"@"+want] = blob
	w.WriteHeader(http.StatusCreated)
}
