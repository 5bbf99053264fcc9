package registry

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// maxBackoff caps the wait before a repeat, where the registry names none.
const maxBackoff = 5 * time.Second

// maxUnboundedWait is the longest wait begun where no deadline bounds it.
const maxUnboundedWait = 2 * time.Minute

// policy decides which exchange is repeated, and when: 429 and 5xx, and
// exchanges without a usable answer, as long as the request can be sent twice.
// Retry-After is honoured in both its forms; a wait that the command's
// deadline does not leave is not begun.
type policy struct {
	attempts int
	backoff  time.Duration
}

// Retry implements oras-go's retry.Policy; a negative wait ends the exchange.
func (p policy) Retry(attempt int, response *http.Response, err error) (time.Duration, error) {
	const give = -1
	if attempt+1 >= p.attempts {
		return give, nil
	}
	wait := jitter(min(p.backoff<<min(attempt, 16), maxBackoff))
	if err != nil {
		var exchange *exchangeError
		if !errors.As(err, &exchange) || !exchange.repeatable {
			return give, nil
		}
		return wait, nil
	}
	switch status := response.StatusCode; {
	case once(response.Request):
		return give, nil
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		// Neither was acted upon, whatever the method.
		if asked, ok := retryAfter(response.Header.Get("Retry-After"), time.Now()); ok {
			wait = asked
		}
	case status < 500 || status == http.StatusNotImplemented || !repeatable(response.Request):
		return give, nil
	}
	left := maxUnboundedWait
	if deadline, ok := response.Request.Context().Deadline(); ok {
		left = time.Until(deadline)
	}
	if left <= wait {
		return give, nil
	}
	return wait, nil
}

// retryAfter reads a Retry-After header: seconds, or an HTTP date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0), true
	}
	return 0, false
}

// jitter spreads a wait over its upper half, so that clients that failed
// together do not come back together.
func jitter(wait time.Duration) time.Duration {
	return wait/2 + rand.N(wait/2+1)
}

// onceKey marks the context of a request that is not repeated: another one can
// take its place.
type onceKey struct{}

func once(request *http.Request) bool { return request.Context().Value(onceKey{}) != nil }
