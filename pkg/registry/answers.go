package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

const (
	// maxAnswer bounds a tag list page, a manifest or a referrers list, in bytes.
	maxAnswer = 64 << 20
	// maxPages bounds the pages of one list.
	maxPages = 10_000
	// maxListed and maxList bound one list over all its pages: its elements, and
	// its bytes.
	maxListed = 1_000_000
	maxList   = 256 << 20
)

// exchangeError is a request that got no usable answer.
type exchangeError struct {
	err        error
	repeatable bool // sending the request again can do no harm
}

func (e *exchangeError) Error() string { return e.err.Error() }
func (e *exchangeError) Unwrap() error { return e.err }

// answers makes sure that what comes back from a registry is an answer: whole,
// bounded, JSON where JSON was asked for, and the bytes that its digest
// promises. Anything else becomes an error that the retry above it sees, so
// that a body cut short is asked for again instead of being believed.
type answers struct{ base http.RoundTripper }

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.base.RoundTrip(request)
	if err == nil && (response.StatusCode >= http.StatusBadRequest || request.Method != http.MethodGet) {
		readAhead(response)
	}
	if err == nil && response.StatusCode == http.StatusOK {
		err = checkAnswer(request, response)
		if err != nil {
			response.Body.Close()
		}
	}
	if err != nil {
		return nil, &exchangeError{err: err, repeatable: repeatable(request) && !once(request) && request.Context().Err() == nil && !settled(err)}
	}
	return response, nil
}

// maxReadAhead bounds what is read of an answer so that its connection serves the
// next request, in bytes.
const maxReadAhead = 64 << 10

// readAhead reads a short body to its end: who closes one before, as oras-go does
// with that of a 401, closes the connection, and opening another one takes a round.
func readAhead(response *http.Response) {
	read, err := io.ReadAll(io.LimitReader(response.Body, maxReadAhead))
	if err == nil && len(read) < maxReadAhead {
		response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(read))
		return
	}
	response.Body = &resumedBody{io.MultiReader(bytes.NewReader(read), response.Body), response.Body}
}

// resumedBody is a body of which the beginning was read. An error of reading it comes again.
type resumedBody struct {
	io.Reader
	io.Closer
}

// settled reports whether the same request would get an error again: certificates
// that one side does not take, and what this package itself refuses.
func settled(err error) bool {
	var untrusted *tls.CertificateVerificationError
	return errors.Is(err, errSpent) || errors.Is(err, entry.ErrInvalid) || errors.Is(err, entry.ErrMalformed) || errors.Is(err, entry.ErrUnauthorized) || errors.As(err, &untrusted) || clientCertificate(err)
}

// repeatable reports whether a request can be sent twice. Starting an upload is
// one of them: a session that nobody uses expires.
func repeatable(request *http.Request) bool {
	switch request.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return strings.HasSuffix(request.URL.Path, "/blobs/uploads/")
	}
	return false
}

// checkAnswer checks an answer against what was asked for in the first place,
// wherever redirects have led.
func checkAnswer(request *http.Request, response *http.Response) error {
	asked := request
	for asked.Response != nil && asked.Response.Request != nil {
		asked = asked.Response.Request
	}
	path := asked.URL.Path
	leadsTo := endpointOf(path)
	if !strings.HasPrefix(path, "/v2/") || leadsTo == toBlobs {
		return nil
	}
	if mediaTypeOf(response.Header) == "text/html" && path != "/v2/" {
		return errors.New("the answer is an HTML page: not a registry, or a proxy before it")
	}
	if request.Method != http.MethodGet || path == "/v2/" {
		return nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("the answer ends early: %w", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if !json.Valid(body) {
		err := errors.New("the answer is not JSON")
		if leadsTo == toManifests && saidKind(response.Header) != "" {
			return hinting{err, absence.ErrAltered}
		}
		return err
	}
	if leadsTo == toManifests {
		if err := checkManifest(path, response.Header, body); err != nil {
			return err
		}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	return nil
}

// maxMediaType bounds a media type, in bytes (RFC 6838, section 4.2).
const maxMediaType = 255

// mediaTypeOf is the media type of a body, without its parameters. What is too
// long to be one is none.
func mediaTypeOf(header http.Header) string {
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if len(mediaType) > maxMediaType {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// checkManifest names a manifest whose kind is not supported, and checks any
// other against the digest that it was asked by, or that its registry announced.
func checkManifest(path string, header http.Header, body []byte) error {
	if err := checkKind(header, body); err != nil {
		return err
	}
	reference := path[strings.LastIndex(path, "/")+1:]
	for _, text := range slices.Compact([]string{reference, header.Get("Docker-Content-Digest")}) {
		if _, err := checkDigest(text, body); err != nil {
			return err
		}
	}
	return nil
}

// checkDigest returns the digest that a text is, which the manifest must have; "" where
// it is none.
func checkDigest(text string, manifest []byte) (digest.Digest, error) {
	want, err := digest.Parse(text)
	if err != nil || !want.Algorithm().Available() {
		return "", nil
	}
	if got := want.Algorithm().FromBytes(manifest); got != want {
		return "", hinting{fmt.Errorf("the manifest is altered: its digest is %s, not %s", got, want), absence.ErrAltered}
	}
	return want, nil
}

// limiter bounds the requests under way to each host. A request is under way
// until its body is closed. Uploads that are read from another repository, perhaps of
// the same host, are counted by themselves: they wait for other requests.
type limiter struct {
	base  http.RoundTripper
	most  int
	slots *lru.Cache[string, chan struct{}]
}

func newLimiter(base http.RoundTripper, most int) *limiter {
	return &limiter{base: base, most: most, slots: recent[chan struct{}](maxHosts)}
}

func (l *limiter) RoundTrip(request *http.Request) (*http.Response, error) {
	key, most := request.URL.Host, l.most
	if request.GetBody != nil && once(request) {
		key, most = "upload to "+key, max(1, most/4)
	}
	slot, ok := l.slots.Get(key)
	if !ok {
		slot = make(chan struct{}, most)
		if first, ok, _ := l.slots.PeekOrAdd(key, slot); ok {
			slot = first
		}
	}
	select {
	case slot <- struct{}{}:
	case <-request.Context().Done():
		return nil, context.Cause(request.Context())
	}
	response, err := l.base.RoundTrip(request)
	if err != nil {
		<-slot
		return nil, err
	}
	response.Body = &slotBody{ReadCloser: response.Body, release: sync.OnceFunc(func() { <-slot })}
	return response, nil
}

type slotBody struct {
	io.ReadCloser
	release func()
}

func (b *slotBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// logging writes one debug line a request: no headers, no query, no body, and
// no secret that a redirect put into its host or path.
type logging struct {
	base    http.RoundTripper
	logger  *slog.Logger
	secrets *secrets
}

func (l *logging) RoundTrip(request *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := l.base.RoundTrip(request)
	status := 0
	if response != nil {
		status = response.StatusCode
	}
	if ctx := request.Context(); l.logger.Enabled(ctx, slog.LevelDebug) {
		l.logger.DebugContext(ctx, "request", "method", request.Method, "host", l.secrets.redact(request.URL.Host),
			"path", l.secrets.redact(request.URL.Path), "status", status, "took", time.Since(start).Round(time.Microsecond))
	}
	return response, err
}
