package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// challenges stands between a repository's login and the network and decides
// what counts as a challenge: the best of all that an answer has, and, where a
// login is stored, that of the registry's base URL in the place of an answer
// that was given to nobody. Some registries hide from strangers what they do
// not refuse them: such an answer would be believed.
type challenges struct {
	base  http.RoundTripper
	login *login

	mu    sync.Mutex
	asked time.Time   // when the base URL was, or that was not needed
	found []challenge // what it offers to those for whom a login is stored
}

// RoundTrip implements http.RoundTripper.
func (c *challenges) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.base.RoundTrip(request)
	// Where a redirect leads there is nothing to log in to, and a token service
	// is no repository.
	if err != nil || request.URL.Host != c.login.host || request.Response != nil || attemptOf(request.Context()) == nil || !isRepository(request) {
		return response, err
	}
	offered := usable(parseChallenges(response.Header.Values("Www-Authenticate")), request.URL)
	if refused := response.StatusCode == http.StatusUnauthorized; !refused || len(offered) == 0 {
		if request.Header.Get("Authorization") != "" || (!refused && convincing(response)) {
			return response, nil
		}
		if offered, err = c.elsewhere(request, response); err != nil || len(offered) == 0 {
			if err != nil {
				response = nil
			}
			return response, err
		}
		response.StatusCode, response.Status = http.StatusUnauthorized, "401 Unauthorized"
	}
	a := attemptOf(request.Context())
	if a.chosen == nil {
		a.chosen, a.others = &offered[0], offered[1:]
	}
	a.answering = a.chosen.scheme
	setChallenge(response, *a.chosen)
	return response, nil
}

// isRepository reports whether a request is one to a repository's API, or to an
// upload there.
func isRepository(request *http.Request) bool {
	return strings.HasPrefix(request.URL.Path, "/v2/") && (strings.Contains(request.URL.Path, "/manifests/") ||
		strings.Contains(request.URL.Path, "/blobs/") || strings.HasSuffix(request.URL.Path, "/tags/list") ||
		strings.Contains(request.URL.Path, "/referrers/"))
}

// convincing reports whether an answer that nobody was logged in for is one
// that everybody would get: content that is there, and what was written. A list
// may be shorter for strangers. On how an upload is given up nothing depends.
func convincing(response *http.Response) bool {
	path := response.Request.URL.Path
	endpoint := endpointOf(path)
	list := endpoint == toTags || endpoint == toReferrers
	status := response.StatusCode
	givenUp := response.Request.Method == http.MethodDelete && endpoint == toBlobs
	return status < 400 && !list || givenUp || status == http.StatusTooManyRequests || status >= 500
}

// recheck is how long it is believed that no login is stored, or needed.
const recheck = time.Minute

// elsewhere returns the challenge of the registry's base URL, if a login is
// stored for the repository, or could not be read.
func (c *challenges) elsewhere(request *http.Request, response *http.Response) ([]challenge, error) {
	// The answer's slot must be free for the request that decides about it.
	if response.StatusCode != http.StatusOK { // else it was read by now
		text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody+1))
		response.Body.Close()
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text), failing{err}))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < recheck {
		return c.found, nil
	}
	account, err := c.login.find(request.Context())
	if err != nil {
		return nil, &credentialError{err}
	}
	if stored := !account.anonymous() || (len(account.Problems) > 0 && response.StatusCode >= http.StatusBadRequest); stored {
		if c.found, err = c.ping(request, account); err != nil {
			return nil, err
		}
	}
	c.asked = time.Now()
	return c.found, nil
}

// failing is the end of a body: nothing more, or why there is no more.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// ping asks for the registry's base URL as nobody, and returns how to log in to
// the registry with an account. Where the base URL does not say, the login goes to
// the registry itself: it is stored for it, and nothing is believed without it.
// That the base URL lets strangers in, or does not exist, says nothing of a
// repository; but then what cannot log in by a password is not asked for.
func (c *challenges) ping(request *http.Request, account Account) ([]challenge, error) {
	ping, err := http.NewRequestWithContext(request.Context(), http.MethodGet, request.URL.Scheme+"://"+request.URL.Host+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	ping.Header.Set("User-Agent", request.Header.Get("User-Agent"))
	answer, err := c.base.RoundTrip(ping)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests, status >= 500:
		return nil, fmt.Errorf("%w: whether a login is needed is not known: GET %s/v2/: %d", entry.ErrUnreachable, ping.URL.Host, status)
	case status == http.StatusUnauthorized:
		if offered := usable(parseChallenges(answer.Header.Values("Www-Authenticate")), ping.URL); len(offered) > 0 {
			return offered, nil
		}
	case status < 300, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		if account.Username == "" || account.Password == "" {
			return nil, nil
		}
	}
	return []challenge{{scheme: schemeBasic}}, nil
}
