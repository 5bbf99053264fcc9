package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/keylock"
)

// endpoint is a repository as requests name it, and what is known of it. All
// that open the repository share it, however they spell its name.
type endpoint struct {
	scheme, host string
	repository   string
	login        *login
	small        *lru.Cache[string, bool] // hosts that do not serve large pages
	unmounted    *lru.Cache[string, bool] // what cannot be mounted from where
	twoStep      *lru.Cache[string, bool] // hosts that do not take a blob by one request
	dates        *dates
	backoff      time.Duration // the first wait of several

	referrers referrersAPI
	indexes   keylock.Locks // of writers of one fallback index in this process
	writes    indexWrites   // of fallback indexes
}

// question is one request to a repository.
type question struct {
	method string
	path   string // below the repository, with its query
	whole  string // the whole URL of an upload, instead of a path
	header http.Header
	body   []byte
	stream *blobStream // instead of body
	from   string      // the repository that a blob is to be mounted from; "" is none
}

// address is the URL of something in the repository.
func (e *endpoint) address(path string) string {
	return e.scheme + "://" + e.host + "/v2/" + e.repository + "/" + path
}

// isAPI reports whether an address is one of the repository's own routes. The 404
// of a token service, which some registries have below /v2/ too, or of a blob
// storage is not the registry's word.
func (e *endpoint) isAPI(asked *url.URL) bool {
	prefix := "/v2/" + e.repository + "/"
	return asked.Host == e.host && len(asked.Path) > len(prefix) && asked.Path[:len(prefix)] == prefix
}

// isForeign reports whether an address is in the API of the registry but in
// another repository than ours: whoever may read or write ours has no business
// there, and our login is not for it. What is not below /v2/ is in none.
func isForeign(repository string, asked *url.URL) bool {
	clean := path.Clean("/" + asked.Path)
	return (clean == "/v2" || strings.HasPrefix(clean, "/v2/")) && !strings.HasPrefix(clean, "/v2/"+repository+"/")
}

// ask sends a request with the rights that its method needs, and returns the
// answer if it has one of the wanted statuses, else a refusal.
func (e *endpoint) ask(ctx context.Context, q question, wanted ...int) (*http.Response, error) {
	response, err := e.send(ctx, q)
	if err != nil {
		return nil, err
	}
	if slices.Contains(wanted, response.StatusCode) {
		return response, nil
	}
	defer response.Body.Close()
	return nil, refused(response)
}

func (e *endpoint) send(ctx context.Context, q question) (*http.Response, error) {
	address := q.whole
	if address == "" {
		address = e.address(q.path)
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	if q.from != "" {
		ctx = auth.WithScopesForHost(ctx, e.host, auth.ScopeRepository(q.from, auth.ActionPull))
	}
	if q.stream != nil {
		ctx = context.WithValue(ctx, onceKey{}, true)
	}
	request, err := http.NewRequestWithContext(ctx, q.method, address, body)
	if err != nil {
		return nil, err
	}
	if q.stream != nil {
		request.GetBody, request.ContentLength = q.stream.body, q.stream.descriptor.Size
	}
	for key, values := range q.header {
		request.Header[key] = values
	}
	var actions []string
	switch {
	case q.method == http.MethodGet, q.method == http.MethodHead:
	case q.method == http.MethodDelete && q.whole == "":
		actions = []string{auth.ActionDelete}
	default:
		actions = []string{auth.ActionPush} // an upload is ended by DELETE
	}
	return e.login.do(request, e.repository, actions...)
}

// write sends a request that changes something. Any 2xx is success, if it is
// the registry's own: what a redirect made of the request, another host
// answers, or it has become a GET.
func (e *endpoint) write(ctx context.Context, q question) (*http.Response, error) {
	response, err := e.send(ctx, q)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch asked := response.Request; {
	case asked.URL.Host != e.host || asked.URL.Scheme != e.scheme || asked.Method != q.method || isForeign(e.repository, asked.URL):
		return nil, fmt.Errorf("%w: %s is answered with a redirect to elsewhere", entry.ErrUnreachable, q.method)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, refused(response)
	}
	return response, nil
}

// get reads a body of JSON, which the transport has made sure is one.
func (e *endpoint) get(ctx context.Context, q question) (http.Header, []byte, error) {
	q.method = http.MethodGet
	response, err := e.ask(ctx, q, http.StatusOK)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("%w: the answer is longer than %d bytes", entry.ErrUnreachable, maxAnswer)
	}
	return response.Header, body, err
}

// isAbsent reports whether a request failed because what it asked the repository
// for does not exist.
func (e *endpoint) isAbsent(err error) bool {
	var r *refusal
	return errors.As(err, &r) && e.isAPI(r.url) && r.isAbsence()
}

// status is that of a refusal; 0 is that of any other error.
func status(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}
