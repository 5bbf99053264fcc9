package registry

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// kinds are the error kinds that this package gives.
var kinds = map[string]error{
	"not found": entry.ErrNotFound, "invalid": entry.ErrInvalid, "unauthorized": entry.ErrUnauthorized,
	"timed out": entry.ErrTimeout, "unreachable": entry.ErrUnreachable, "malformed": entry.ErrMalformed,
}

// kind names the kind of an error: "" for none, "?" for an error without one.
func kind(err error) string {
	if err == nil {
		return ""
	}
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			return name
		}
	}
	return "?"
}

// script is a registry that says what a test wants: it answers with handler
// and remembers what it was asked, method and path and query.
type script struct {
	host    string
	handler http.HandlerFunc

	mu    sync.Mutex
	asked []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	s.handler(w, r)
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func serve(t testing.TB, handler http.HandlerFunc) *script {
	t.Helper()
	s := &script{handler: handler}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// quick are options for tests: repeats come at once.
func quick() Options { return Options{Attempts: 4, Backoff: time.Microsecond} }

// open opens host/team/image.
func open(t testing.TB, host string, options Options) Repository {
	t.Helper()
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(Reference{Registry: host, Repository: "team/image"})
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

// inProcess is a whole registry.
func inProcess(t testing.TB, referrers bool) string {
	t.Helper()
	server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(quietLog())))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// inTwoSteps is a request as a registry takes it that begins an upload with each POST,
// whatever that brings.
func inTwoSteps(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	if r.Method == http.MethodPost {
		r.URL.RawQuery = ""
	}
	return r
}

// answer writes a body with its type.
func answer(w http.ResponseWriter, status int, mediaType, body string) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// cut announces more than it sends.
func cut(w http.ResponseWriter, mediaType, body string) {
	cutWith(w, http.StatusOK, mediaType, body)
}

// cutWith is cut with a status.
func cutWith(w http.ResponseWriter, status int, mediaType, body string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", "100000")
	w.WriteHeader(status)
	io.WriteString(w, body)
	abort(w)
}

// abort sends what was written and breaks the connection.
func abort(w http.ResponseWriter) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
	panic(http.ErrAbortHandler)
}

// manifestOf makes a manifest that differs from others by its text.
func manifestOf(t testing.TB, text string, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	t.Helper()
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x.test", Subject: subject,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
		Annotations: map[string]string{"text": text},
	}
	manifest.SchemaVersion = 2
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return describe(ocispec.MediaTypeImageManifest, body), body
}

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// roundTripper is a transport without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func respond(request *http.Request, status int, body io.Reader) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body),
	}
}

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// forwarding carries what tests pass on. The default transport would lose requests
// whenever a parallel test closes its httptest.Server, which closes idle
// connections of the default transport too.
var forwarding = http.DefaultTransport.(*http.Transport).Clone()

// forward passes a request on to host, and its answer back.
func forward(t testing.TB, w http.ResponseWriter, r *http.Request, host string) {
	t.Helper()
	request := r.Clone(r.Context())
	request.URL.Scheme, request.URL.Host, request.RequestURI = "http", host, ""
	response, err := forwarding.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	for key, values := range response.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		t.Error(err)
	}
}

// zeroTime has http.ServeContent say nothing of time.
var zeroTime time.Time

// always and never are for Options.PlainHTTP.
func always(string) bool { return true }
func never(string) bool  { return false }

func expectPush(t *testing.T, client *Client, ref Reference) {
	t.Helper()
	repository, err := client.checked(ref)
	if err != nil {
		t.Fatal(err)
	}
	repository.ExpectPush()
}

// normalText is the normal form of a reference in a text; a text that is none is
// its own.
func normalText(text string) string {
	ref, err := ParseReference(text)
	if err != nil {
		return text
	}
	return ref.Normal().String()
}
